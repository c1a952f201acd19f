"""What holds for apps and pods alike. Each function yields problems; `at` goes before their paths."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from koinon.marathon.model import ids
from koinon.marathon.model.app import LinuxInfo, Network, ResourceLimits, SecretRef, SecretSource
from koinon.marathon.model.problems import Problem
from koinon.marathon.model.settings import Rules

OPERATORS = ("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS")
RESERVED_NAMES = ("restart", "tasks", "versions")  #: ends of paths that mean something in URLs
_IS_VALUE = re.compile(r"[a-zA-Z0-9_/.-]*")
_COMING = frozenset({"secrets"})  #: features that cannot be enabled
_NUL = "\0"
#: Characters that a URI cannot have, or a percent sign that encodes nothing (RFC 3986).
_NOT_IN_URI = re.compile(r"[\x00-\x20\x7f<>\"{}|\\^`]|%(?![0-9A-Fa-f]{2})")


def id_problems(path: str) -> Iterator[Problem]:
    """Of an app's or pod's own id, absolute."""
    parts = ids.segments(path)
    if not parts:
        yield Problem("/id", "must have at least one segment: the root is a group")
    elif parts[-1] in RESERVED_NAMES:
        yield Problem(
            "/id", f"must not end with '{parts[-1]}': the words {', '.join(RESERVED_NAMES)} are reserved"
        )


def feature_problems(rules: Rules, feature: str, at: str) -> Iterator[Problem]:
    """Of something that is there only with a feature."""
    if feature not in rules.features:
        hint = "it is not supported yet" if feature in _COMING else "add it to --enable_features"
        yield Problem(at, f"Feature {feature} is not enabled: {hint}")


def constraint_problems(operator: str, value: str | None, field: str, at: str) -> Iterator[Problem]:
    """Of one constraint; the operator is in upper case."""
    if not field:
        yield Problem(at, "a constraint must name a field")
    match operator:
        case "UNIQUE":
            if value is not None:
                yield Problem(at, "UNIQUE does not accept a value")
        case "CLUSTER":
            pass
        case "GROUP_BY":
            if value is not None and not _is_integer(value):
                yield Problem(at, f"GROUP_BY takes an integer or nothing, not '{value}'")
        case "MAX_PER":
            if value is None or not _is_integer(value):
                yield Problem(at, "MAX_PER requires an integer value")
        case "LIKE" | "UNLIKE":
            if value is None:
                yield Problem(at, f"{operator} requires a regular expression")
            elif (error := _regex_error(value)) is not None:
                yield Problem(at, f"'{value}' is not a valid regular expression: {error}")
        case "IS":
            if value is None or _IS_VALUE.fullmatch(value) is None:
                yield Problem(
                    at, "IS takes a text of letters, digits and _/.- or a number; no ranges, no sets"
                )
        case _:
            yield Problem(at, f"operator must be one of {', '.join(OPERATORS)}, not '{operator}'")


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+", text, re.ASCII) is not None


def _regex_error(text: str) -> str | None:
    try:
        re.compile(text)
    except re.error as error:
        return str(error)
    return None


def uri_problems(uri: str, at: str) -> Iterator[Problem]:
    """Of something to be fetched."""
    if (found := _NOT_IN_URI.search(uri)) is not None:
        yield Problem(at, f"'{uri}' is not a URI: {found.group()!r} cannot be at {found.start()}")


def network_problems(networks: Sequence[Network], *, is_docker_engine: bool = False) -> Iterator[Problem]:
    """Of all networks of an app or pod."""
    modes = [one.mode for one in networks]
    if len(set(modes)) > 1 or modes.count("host") > 1 or modes.count("container/bridge") > 1:
        yield Problem(
            "/networks", "must be a single host network, a single bridge network, or container networks"
        )
    for at, one in enumerate(networks):
        if one.mode != "container" and one.name is not None:
            yield Problem(f"/networks({at})/name", f"a network of mode '{one.mode}' must not have a name")
        if one.mode == "host" and one.labels:
            yield Problem(f"/networks({at})/labels", "the host network must not have labels")
    names = [one.name for one in networks if one.name is not None]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("/networks", f"Duplicate networks are not allowed: '{name}'")
    if is_docker_engine and modes.count("container") > 1:
        yield Problem(
            "/networks", "may only have a single container network when using the Docker container engine"
        )


def port_network_problems(
    host_port: int | None, network_names: Sequence[str], networks: Sequence[Network], at: str
) -> Iterator[Problem]:
    """Of the networks that a port mapping or endpoint names."""
    known = {one.name for one in networks if one.name is not None}
    for index, name in enumerate(network_names):
        if name not in known:
            yield Problem(
                f"{at}/networkNames({index})", f"'{name}' is none of the networks: {_listed(known)}"
            )
    if (
        sum(one.mode == "container" for one in networks) > 1
        and host_port is not None
        and len(network_names) != 1
    ):
        yield Problem(
            at, "networkNames must name one network when there is a hostPort and several container networks"
        )


def env_problems(
    env: Mapping[str, str | SecretRef], secrets: Mapping[str, SecretSource], rules: Rules, at: str
) -> Iterator[Problem]:
    """Of variables."""
    for name, value in env.items():
        if not name:
            yield Problem(at, "a variable must have a name")
        elif "=" in name or _NUL in name:
            yield Problem(f"{at}/{name}", "the name of a variable cannot have '=' or NUL in it")
        if isinstance(value, str):
            yield from text_problems(value, f"{at}/{name}")
        if isinstance(value, SecretRef):
            yield from feature_problems(rules, "secrets", f"{at}/{name}")
            yield from secret_problems(value.secret, secrets, f"{at}/{name}/secret")


def text_problems(text: str | None, at: str) -> Iterator[Problem]:
    """Of what is handed to a program: the kernel ends it at the first NUL."""
    if text is not None and _NUL in text:
        yield Problem(at, "must not have a NUL character")


def secret_problems(name: str, secrets: Mapping[str, SecretSource], at: str) -> Iterator[Problem]:
    """Of the name of a secret."""
    if name not in secrets:
        yield Problem(at, f"'{name}' is not declared in 'secrets'")


def limit_problems(limits: ResourceLimits | None, cpus: float, mem: float, at: str) -> Iterator[Problem]:
    """Of limits above what is asked for."""
    if limits is None:
        return
    asked: tuple[tuple[str, float | Literal["unlimited"] | None, float], ...]
    asked = (("cpus", limits.cpus, cpus), ("mem", limits.mem, mem))
    for name, limit, request in asked:
        if limit is not None and limit != "unlimited" and limit < request:
            yield Problem(f"{at}/{name}", f'must be {request:g}, which is asked for, or more; or "unlimited"')


def linux_problems(info: LinuxInfo | None, at: str, *, is_pod: bool = False) -> Iterator[Problem]:
    """Of what only Linux has; `is_pod`: of the pod itself."""
    if info is None:
        return
    if (seccomp := info.seccomp) is not None:
        if is_pod:
            yield Problem(f"{at}/seccomp", "must be given for containers, not for the pod")
        elif seccomp.unconfined and seccomp.profile_name is not None:
            yield Problem(f"{at}/seccomp", "must have a profileName or be unconfined, not both")
        elif not seccomp.unconfined and seccomp.profile_name is None:
            yield Problem(f"{at}/seccomp", "must have a profileName, or be unconfined")
    if (ipc := info.ipc_info) is not None and ipc.mode == "SHARE_PARENT" and ipc.shm_size is not None:
        yield Problem(f"{at}/ipcInfo/shmSize", "must not be given with SHARE_PARENT")


def role_problems(accepted: Collection[str], role: str, at: str) -> Iterator[Problem]:
    """Of the roles whose resources are taken."""
    for one in accepted:
        if one not in ("*", role):
            yield Problem(at, f"may hold '*' and the role '{role}', not '{one}'")


def name_problems(names: Sequence[str | None], at: str, what: str) -> Iterator[Problem]:
    """Of names that must be unique; `at` has `{}` for the number."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name is not None and name in seen:
            yield Problem(at.format(index), f"{what} must be unique: '{name}' is there already")
        elif name is not None:
            seen.add(name)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "there are none with a name"
