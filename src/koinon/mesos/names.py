"""Rules for the names that people choose: ids of tasks and the like, and roles.

A *problem* is one sentence that says what is wrong with a name; None means that it is good.
"""

from __future__ import annotations

from functools import lru_cache

#: An id becomes the name of a directory, so it must fit into one.
ID_BYTES_MAX = 255

#: Whoever names no role has this one; what is reserved for nobody carries it, too.
DEFAULT_ROLE = "*"

_CONTROL_CHARACTERS = frozenset(map(chr, (*range(0x20), 0x7F)))


def id_problem(value: str) -> str | None:
    """What is wrong with an id that a user chose (of a task, executor, framework or volume)."""
    if not value:
        return "an id must not be empty"
    if value in (".", ".."):
        return f"'{value}' is not allowed as an id"
    if len(value.encode("utf-8", "surrogatepass")) > ID_BYTES_MAX:
        return f"an id must not be longer than {ID_BYTES_MAX} bytes"
    if "/" in value or "\\" in value:
        return f"'{value}' must not contain a slash or a backslash"
    if not _CONTROL_CHARACTERS.isdisjoint(value):
        return f"{value!r} must not contain control characters"
    return None


@lru_cache(4096)
def role_problem(role: str) -> str | None:
    """What is wrong with the name of a role, which is `*` or a path such as `ads/search`."""
    if role == DEFAULT_ROLE:
        return None
    if not role:
        return "a role must not be empty"
    for part in role.split("/"):
        if not part:
            return f"role '{role}' must not start or end with a slash, nor have two in a row"
        if part in (".", "..", "*"):
            return f"role '{role}' must not have '{part}' as a part"
        if part.startswith("-"):
            return f"role '{role}' must not have a part that starts with '-'"
        if "\b" in part or any(character.isspace() for character in part):
            return f"role {role!r} must not contain whitespace or backspace"
    return None


def is_ancestor(role: str, descendant: str) -> bool:
    """Whether `descendant` lies strictly below `role`, as `ads/search` below `ads`."""
    return descendant.startswith(role) and descendant[len(role) : len(role) + 1] == "/"
