"""A request to create or replace a job → the job as it will be stored.

All that is wrong is told at once. The body becomes the job, but what is remembered of its runs stays unless the body
says otherwise; and so does the place in a schedule that is sent again as it was, since a tool that posts its files each
night does not mean to start every job each night.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from koinon.chronos import schedules
from koinon.chronos.model import Defaults, Job, Line, ids
from koinon.chronos.model.job import BOOKKEEPING, Container, Fetch, Lapse
from koinon.chronos.model.problems import Refused, Wrong
from koinon.chronos.reading import fields, sets
from koinon.chronos.reading.kinds import BAD, flag, listed, one_line, one_of, say, shown, some, text
from koinon.chronos.schedules import zones

#: The endpoints that take jobs.
Asked = Literal["iso8601", "dependency"]

#: Letters, digits and a few signs; the older line allows blanks within and `#`. Names stand in ids, which have no
#: control characters, so that of all blanks only the space is taken.
_NAMES: Mapping[Line, re.Pattern[str]] = {
    "2.x": re.compile(r"[A-Za-z0-9_.#-]([A-Za-z0-9_.# -]*[A-Za-z0-9_.#-])?"),
    "3.x": re.compile(r"[A-Za-z0-9_.-]+"),
}
_NAME_WORDS: Mapping[Line, str] = {
    "2.x": "letters, digits, '_', '-', '.', '#' and spaces within",
    "3.x": "letters, digits, '_', '-' and '.'",
}
#: What a job is that says neither when nor after whom.
_RUN_ONCE = "R1//PT24H"
#: Resources are counted in thousandths.
_LEAST_RESOURCE = 0.001
#: Names that documents use for a field, too.
_ALIASES = {"dataProcessingJobType": "dataJob"}

_attributes = dict(zip(Job.__struct_fields__, Job.__struct_encode_fields__, strict=True))


def body(content: bytes) -> Any:
    """What a request's body says as JSON. Raises Refused."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(f"the body is no JSON: {error}") from None


def arguments(given: str) -> str:
    """Those of a run by hand. Raises Refused."""
    found: list[str] = []
    if text(given, "arguments", found) is BAD:
        raise Refused("; ".join(found))
    return given


def job(
    content: Any, *, asked: Asked, line: Line, jobs: Mapping[str, Job], defaults: Defaults, now: float
) -> Job:
    """The job that `content`, a body as JSON, asks for, complete and sound within `jobs`. Raises Refused."""
    if not isinstance(content, dict):
        raise Refused(f"a job must be a JSON object, not {shown(content)}")
    given = {key: value for key, value in content.items() if value is not None}
    found: list[str] = []
    name = _name(given, line, jobs, found)
    old = jobs.get(name)
    made = _plain(given, found)
    _complete(made, given, defaults, found)
    made |= _fetched(given, line, found)
    made |= _contained(given, found)
    made |= _overlapping(given, found)
    made |= _when(given, name, asked, line, jobs, now, found)
    _check_command(made, given, line, found)
    if found:
        raise Wrong(name, found)
    if old is None:
        made["created_ms"] = zones.whole(now)
    for attribute in BOOKKEEPING if old is not None else ():
        made.setdefault(attribute, getattr(old, attribute))
    return Job(name=name, **made)


def _name(given: Mapping[str, Any], line: Line, jobs: Mapping[str, Job], found: list[str]) -> str:
    """The name, or empty when there is none that could be meant."""
    if "name" not in given:
        say(found, "name", "is missing")
        return ""
    name = text(given["name"], "name", found)
    if name is BAD:
        return ""
    # A job that exists may be changed under both prefixes.
    if name in jobs:
        return str(name)
    if _NAMES[line].fullmatch(name) is None or name in (".", ".."):
        say(found, "name", f"must be made of {_NAME_WORDS[line]}, not {shown(name)}")
        return ""
    if len(name) > ids.NAME_LENGTH_MAX:
        say(found, "name", f"must have at most {ids.NAME_LENGTH_MAX} characters, not {len(name)}")
    return str(name)


def _plain(given: Mapping[str, Any], found: list[str]) -> dict[str, Any]:
    made = {}
    for attribute, kind in fields.PLAIN.items():
        at = _attributes[attribute]
        if at not in given:
            at = _ALIASES.get(at, at)
        if at in given:
            made[attribute] = kind(given[at], at, found)
    return made


def _complete(made: dict[str, Any], given: Mapping[str, Any], defaults: Defaults, found: list[str]) -> None:
    for attribute in ("cpus", "mem", "disk"):
        amount = made.get(attribute)
        if not amount:
            made[attribute] = getattr(defaults, attribute)
        elif amount is not BAD and amount < _LEAST_RESOURCE:
            say(found, attribute, f"must be {_LEAST_RESOURCE} or more, or 0 for what is usual")
    made["run_as_user"] = made.get("run_as_user") or defaults.user
    made["epsilon"] = made.get("epsilon") or defaults.epsilon


def _fetched(given: Mapping[str, Any], line: Line, found: list[str]) -> dict[str, Any]:
    """`uris` is an older way to say `fetch`. What GET shows has both, saying the same."""
    of_fetch: Any = ()
    of_uris: Any = ()
    if "fetch" in given:
        of_fetch = fields.fetch(extract=line == "3.x")(given["fetch"], "fetch", found)
    if "uris" in given:
        of_uris = fields.URIS(given["uris"], "uris", found)
    if of_fetch is BAD or of_uris is BAD:
        return {}
    if of_fetch and of_uris and tuple(one.uri for one in of_fetch) != of_uris:
        say(found, "uris", "and fetch must not both be given, as they do not say the same")
    return {"fetch": of_fetch or tuple(Fetch(one) for one in of_uris)}


def _contained(given: Mapping[str, Any], found: list[str]) -> dict[str, Any]:
    value = given.get("container")
    # Pages and scripts send the form without an image when none was chosen.
    if value is None or (isinstance(value, dict) and not _says_container(value)):
        return {}
    container = fields.CONTAINER(value, "container", found)
    if isinstance(container, Container):
        _check_container(container, found)
    return {"container": container}


def _says_container(value: Mapping[str, Any]) -> bool:
    """Whether it says more than of which kind it would be."""
    return any(one for key, one in value.items() if key not in ("type", "network", "forcePullImage"))


def _check_container(container: Container, found: list[str]) -> None:
    if container.type == "MESOS" and container.parameters:
        say(found, "container.parameters", "are for the type DOCKER only")
    if container.network == "USER" and not container.network_name and not container.network_infos:
        say(found, "container.network", "USER needs a networkName or networkInfos")
    for n, volume in enumerate(container.volumes):
        if volume.host_path is not None and volume.external is not None:
            say(found, f"container.volumes[{n}]", "must have one of hostPath and external, not both")


def _overlapping(given: Mapping[str, Any], found: list[str]) -> dict[str, Any]:
    """`concurrent` of the API, and `overlap`, which says more."""
    concurrent = flag(given["concurrent"], "concurrent", found) if "concurrent" in given else None
    if "overlap" not in given:
        return {"overlap": "allow"} if concurrent is True else {}
    overlap = one_of("skip", "queue", "allow")(given["overlap"], "overlap", found)
    if concurrent in (True, False) and overlap is not BAD and concurrent is not (overlap == "allow"):
        say(found, "overlap", f"'{overlap}' contradicts concurrent")
    return {"overlap": overlap}


def _when(
    given: Mapping[str, Any],
    name: str,
    asked: Asked,
    line: Line,
    jobs: Mapping[str, Job],
    now: float,
    found: list[str],
) -> dict[str, Any]:
    """Its schedule, or its parents."""
    parents = listed(some)(given["parents"], "parents", found) if "parents" in given else ()
    texts = [one_line(given[key], key, found) for key in ("schedule", "cron") if given.get(key, "") != ""]
    if parents is BAD or any(one is BAD for one in texts):
        return {}
    if parents and texts:
        say(found, "schedule", "and parents must not both be given: a job has one of them")
        return {}
    if asked == "dependency":
        if not parents:
            say(found, "parents", "is missing: a dependent job needs one or more")
        found.extend(sets.parent_problems(jobs, name, parents))
        return _dependent(parents, jobs.get(name))
    if parents:
        say(found, "parents", "are for dependent jobs, which are posted to …/dependency")
        return {}
    if not texts and line == "2.x":
        say(found, "schedule", "is missing")
        return {}
    return _scheduled(texts or [_RUN_ONCE], given, jobs.get(name), now, found)


def _dependent(parents: tuple[str, ...], old: Job | None) -> dict[str, Any]:
    # An update in the middle of a cycle must not lose what the parents have done.
    # In their order: tools compare what they find with what they have.
    made: dict[str, Any] = {"parents": tuple(dict.fromkeys(parents))}
    if old is not None:
        made["successes"] = tuple(one for one in old.successes if one.parent in parents)
        made["helped_windows"] = old.helped_windows
    return made


def _scheduled(
    texts: list[str], given: Mapping[str, Any], old: Job | None, now: float, found: list[str]
) -> dict[str, Any]:
    zone = one_line(given.get("scheduleTimeZone", ""), "scheduleTimeZone", found)
    if zone == "null":  # so Chronos 2.x shows jobs that have none
        zone = ""
    if len(set(texts)) > 1:
        say(found, "cron", "and schedule must not both be given, as they do not say the same")
        return {}
    if zone is BAD:
        return {}
    read = schedules.read_cron if given.get("cron", "") != "" else schedules.read
    try:
        schedule = read(texts[0], zone, now=now)
    except schedules.Wrong as wrong:
        found.append(str(wrong))
        return {}
    if old is not None and (stored := old.schedule) is not None:
        is_same = (schedule.text, schedule.zone) == (stored.text, stored.zone) and stored.remaining != 0
        if is_same or schedules.resumed(schedule, stored) is stored:
            return {"schedule": stored, "lapses": old.lapses, "ahead": old.ahead}
    if not schedule.is_cron:
        return {"schedule": schedule}
    # It begins with what the clock shows. If that was wrong, it begins earlier; but not before what has run already.
    since_ms = old.latest_slot_ms if old is not None else 0
    return {"schedule": schedule, "lapses": (Lapse(since_ms, ids.milliseconds(now)),)}


def _check_command(made: Mapping[str, Any], given: Mapping[str, Any], line: Line, found: list[str]) -> None:
    if line == "2.x" and "command" not in given:
        say(found, "command", "is missing")
    can_do_without = made.get("shell", True) or made.get("container") or made.get("executor")
    if not made.get("command") and not can_do_without:
        say(found, "command", "is missing, and with shell false it is what is executed")
