"""Flags: how a role is configured, from the command line, the environment and files.

A role declares its flags once, as a Struct: the field's name is the flag's name, its type says how the text
is read, its default is the default, and `Flag` holds what `--help` prints:

    class AgentFlags(Struct, frozen=True, kw_only=True):
        work_dir: Annotated[Path, Flag("Where sandboxes and checkpoints are kept.")]
        port: Annotated[int, Flag("Port to listen on; 0 = any free one.")] = 5051
        registration_backoff_factor: Annotated[Duration, Flag("First wait before …")] = Duration(1)
        credential: Annotated[str | None, Flag("…", secret=True)] = None

    flags = load(AgentFlags, sys.argv[1:], environ=os.environ, directories=(Path("/etc/mesos-agent"),))

Sources, strongest first: the command line (`--name=value`, `--name value`, `--flag`, `--no-flag`; dash and
underscore are the same), the environment (`MESOS_NAME`), files (`/etc/mesos-agent/NAME`, content = value;
`?flag` and `?no-flag` for booleans; a folder `attributes/KEY` builds `KEY:value;…` piecewise). A value
`file:///path` stands for the content of that file. Types: str, int, float, bool, Path, Literal, what has a
class method `parse` (`Duration`, `Size`, `Rate` here, others elsewhere), each also `| None`; any other type is
JSON, given as text or as the absolute path of a file.
Rules that join flags belong into `__post_init__` of the Struct: a ValueError there is reported as is.
Programs with other habits than Mesos's say so in `Conventions`.
"""

from __future__ import annotations

import math
import re
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)

#: Length of each unit of time, in nanoseconds; from the largest.
_TIME_UNITS_NS = {
    "weeks": 7 * 86_400 * 10**9,
    "days": 86_400 * 10**9,
    "hrs": 3_600 * 10**9,
    "mins": 60 * 10**9,
    "secs": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
#: What stands before the host of a URL, which may have got into any flag, and from our words into a log.
_CREDENTIALS = re.compile(r"//[^\s@']*:[^\s']*@")
#: Who counts nanoseconds in 64 bits gets no further.
_TIME_MAX_NS = 2**63
#: Each unit of size, in bytes; from the largest.
_SIZE_UNITS = {"TB": 2**40, "GB": 2**30, "MB": 2**20, "KB": 2**10, "B": 1}


class FlagError(ValueError):
    """What the person gave cannot be used; the message is one sentence that says what to change."""


class Flag(NamedTuple):
    """What a flag's declaration says besides name, type and default."""

    help: str
    #: Never shown: `describe` hides the value.
    secret: bool = False
    #: Further environment variables that it is read from, whole names.
    variables: tuple[str, ...] = ()


class Conventions(NamedTuple):
    """What a program does in another way than Mesos."""

    #: `--<negation>name` turns a boolean off; the first is the one that `--help` shows.
    negations: tuple[str, ...] = ("no_",)
    #: An environment variable with our prefix must be a flag, unless its name begins with one of these; an empty one turns a
    #: boolean on; and what is on the command line must not be in the environment, too. None: none of that.
    foreign_variables: tuple[str, ...] | None = None
    #: Known flags that are not served: why, and what to do.
    refused: Mapping[str, str] = {}
    #: With what status a program ends that was given wrong flags.
    exit_status: int = 2


_MESOS = Conventions()


class Duration(float):
    """Seconds. Written `500ms`, `10secs`, `5mins`, `1hrs`, `2days`, `1weeks`."""

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Raises FlagError when `text` is no duration."""
        number, unit = _split_unit(text)
        if number is None or unit not in _TIME_UNITS_NS:
            raise FlagError(f"'{text}' is not a duration such as 500ms, 10secs, 5mins, 1hrs, 2days or 1weeks")
        duration_ns = number * _TIME_UNITS_NS[unit]
        if not abs(duration_ns) < _TIME_MAX_NS:
            raise FlagError(f"'{text}' is longer than 290 years")
        return cls(duration_ns / 10**9)

    def __str__(self) -> str:
        duration_ns = round(self * 10**9)
        for unit, unit_ns in _TIME_UNITS_NS.items():
            if duration_ns and duration_ns % unit_ns == 0:
                return f"{duration_ns // unit_ns}{unit}"
        return "0ns"


class Size(int):
    """Bytes. Written `512B`, `4KB`, `32MB`, `2GB`, `1TB`, in powers of 1024."""

    @classmethod
    def parse(cls, text: str) -> Size:
        """Raises FlagError when `text` is no size."""
        number, unit = _split_unit(text)
        if number is None or not 0 <= number < math.inf or unit not in _SIZE_UNITS:
            raise FlagError(f"'{text}' is not a size such as 512B, 4KB, 32MB or 2GB")
        return cls(number * _SIZE_UNITS[unit])

    def __str__(self) -> str:
        for unit, unit_bytes in _SIZE_UNITS.items():
            if self and int(self) % unit_bytes == 0:
                return f"{int(self) // unit_bytes}{unit}"
        return "0B"


class Rate(NamedTuple):
    """So many in so long. Written `1/10mins`."""

    times: int
    per: Duration

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Raises FlagError when `text` is no rate."""
        count, slash, per = text.partition("/")
        if not slash or not count.strip().isdecimal():
            raise FlagError(f"'{text}' is not a rate such as 1/10mins")
        return cls(int(count), Duration.parse(per))

    def __str__(self) -> str:
        return f"{self.times}/{self.per}"


# ── the verbs ─────────────────────────────────────────────────────────────────────────────────────
def load(
    struct: type[StructT],
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    prefixes: Sequence[str] = ("MESOS_",),
    directories: Sequence[Path] = (),
    conventions: Conventions = _MESOS,
) -> StructT:
    """Flags of the type `struct` from all sources.

    `prefixes` of environment names and `directories` come strongest first; directories need not exist.
    Raises FlagError for anything that cannot be understood.
    """
    known = _known(struct)
    values: dict[str, Any] = {}
    given = list(_from_command_line(known, argv, conventions))
    environment = list(_from_environment(known, environ, prefixes, conventions))
    if conventions.foreign_variables is not None:
        _check_given_once(given, environment)
    for name, text, origin in (*given, *environment, *_from_files(known, directories, conventions)):
        if name not in values:
            values[name] = _read(known[name], text, origin)
    missing = [name for name, one in known.items() if one.required and name not in values]
    if missing:
        raise FlagError(f"--{missing[0]} is required")
    try:
        return struct(**values)
    except ValueError as error:
        raise error if isinstance(error, FlagError) else FlagError(str(error)) from error


def load_or_exit(
    struct: type[StructT],
    argv: Sequence[str],
    *,
    program: str,
    version: str,
    environ: Mapping[str, str],
    prefixes: Sequence[str] = ("MESOS_",),
    directories: Sequence[Path] = (),
    conventions: Conventions = _MESOS,
) -> StructT:
    """As `load`, for a program's `main`: answers --help and --version, prints errors and exits with status 2."""
    if "--help" in argv:
        text = help_text(struct, program, prefixes=prefixes, directories=directories, conventions=conventions)
        _exit(0, text, sys.stdout)
    if "--version" in argv:
        _exit(0, f"{program} {version}\n", sys.stdout)
    try:
        return load(
            struct,
            argv,
            environ=environ,
            prefixes=prefixes,
            directories=directories,
            conventions=conventions,
        )
    except FlagError as error:
        sentence = _CREDENTIALS.sub("//***@", str(error))
        _exit(conventions.exit_status, f"{program}: {sentence} (see {program} --help)\n", sys.stderr)


def describe(flags: msgspec.Struct) -> dict[str, str]:
    """Every flag that has a value, as text that `load` would read back; secrets read `<hidden>`."""
    described = {}
    for name, one in _known(type(flags)).items():
        value = getattr(flags, name)
        if value is not None:
            described[name] = "<hidden>" if one.flag.secret else _write(value)
    return described


def help_text(
    struct: type[msgspec.Struct],
    program: str,
    *,
    prefixes: Sequence[str] = ("MESOS_",),
    directories: Sequence[Path] = (),
    conventions: Conventions = _MESOS,
) -> str:
    """What `--help` prints: every flag with its form, meaning and default."""
    from textwrap import fill

    lines = [f"Usage: {program} [--flag=value …]", ""]
    for _, one in sorted(_known(struct).items()):
        text = one.flag.help
        if one.required:
            text += " Required."
        elif one.default is not None and (default := _write(one.default)):
            text += f" [default: {default}]"
        lines += [
            f"  {one.form(conventions)}",
            fill(text, 96, initial_indent=" " * 6, subsequent_indent=" " * 6),
        ]
    also = [f"the environment ({prefix}<NAME>)" for prefix in prefixes[:1]]
    also += [f"files ({directory}/<name>)" for directory in directories]
    lines += [
        "  --help, --version",
        "      Print and exit.",
        "",
        f"Flags can also come from {' and '.join(also)}.",
    ]
    return "\n".join(lines) + "\n"


def _exit(status: int, text: str, stream: Any) -> NoReturn:
    stream.write(text)
    raise SystemExit(status)


# ── what is declared ──────────────────────────────────────────────────────────────────────────────
class _Known(NamedTuple):
    name: str
    flag: Flag
    type: Any  #: without `| None`
    default: Any
    required: bool

    @property
    def metavar(self) -> str:
        if get_origin(self.type) is Literal:
            return "|".join(map(str, get_args(self.type)))
        simple = {
            str: "TEXT",
            int: "N",
            float: "X",
            Path: "PATH",
            Duration: "TIME",
            Size: "SIZE",
            Rate: "N/TIME",
        }
        return simple.get(self.type) or str(getattr(self.type, "METAVAR", "JSON"))

    def form(self, conventions: Conventions = _MESOS) -> str:
        """How it is written."""
        off = "no-" if conventions is _MESOS else conventions.negations[0]
        return f"--[{off}]{self.name}" if self.type is bool else f"--{self.name}={self.metavar}"


def _known(struct: type[msgspec.Struct]) -> dict[str, _Known]:
    hints = get_type_hints(struct, include_extras=True)
    known = {}
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{struct.__name__}.{field.name} is declared without Annotated[…, Flag(…)]")
        type_, flag = get_args(hint)
        if get_origin(type_) in (Union, types.UnionType):
            (type_,) = (part for part in get_args(type_) if part is not types.NoneType)
        default = field.default if field.default is not msgspec.NODEFAULT else None
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        known[field.name] = _Known(field.name, flag, type_, default, field.required)
    return known


# ── where values come from: (name, text, origin for the error message) ────────────────────────────
_Given = Iterator[tuple[str, str, str]]


def _from_command_line(known: dict[str, _Known], argv: Sequence[str], conventions: Conventions) -> _Given:
    seen = set()
    rest = iter(argv)
    for argument in rest:
        if not argument.startswith("--") or argument == "--":
            raise FlagError(f"unexpected argument '{argument}'")
        option, equals, text = argument.partition("=")
        name, negated = _resolve(known, option[2:], option, conventions)
        if name in seen:
            raise FlagError(f"--{name} is given twice")
        seen.add(name)
        if known[name].type is bool:
            if equals and negated:
                raise FlagError(f"{option} takes no value")
            text = text if equals else ("false" if negated else "true")
        elif not equals:
            following = next(rest, None)
            if following is None:
                raise FlagError(f"{option} needs a value")
            text = following
        yield name, text, option


def _from_environment(
    known: dict[str, _Known], environ: Mapping[str, str], prefixes: Sequence[str], conventions: Conventions
) -> _Given:
    foreign = conventions.foreign_variables
    for prefix in prefixes:
        if foreign is None:
            found = [(name, False, prefix + name.upper()) for name in known]
        else:
            ours = [one for one in environ if one.startswith(prefix) and not one.startswith(foreign)]
            found = [
                (*_resolve(known, one[len(prefix) :].lower(), one, conventions), one) for one in sorted(ours)
            ]
        for name, negated, variable in found:
            if (text := environ.get(variable)) is None:
                continue
            if known[name].type is bool and foreign is not None and (negated or not text):
                if text:
                    raise FlagError(f"{variable} takes no value")
                text = "false" if negated else "true"
            yield name, text, variable
    for name, one in known.items():
        for variable in one.flag.variables:
            if variable in environ:
                yield name, environ[variable], variable


def _check_given_once(given: list[tuple[str, str, str]], environment: list[tuple[str, str, str]]) -> None:
    variables = {name: origin for name, _, origin in reversed(environment)}
    for name, _, option in given:
        if name in variables:
            raise FlagError(
                f"{option} is given, and {variables[name]} in the environment, too: leave one out"
            )


def _from_files(known: dict[str, _Known], directories: Sequence[Path], conventions: Conventions) -> _Given:
    for directory in directories:
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if path.name.startswith("."):
                continue
            if path.name.startswith("?"):
                name, negated = _resolve(known, path.name[1:], str(path), conventions)
                yield name, "false" if negated else "true", str(path)
                continue
            name, _ = _resolve(known, path.name, str(path), conventions)
            if path.is_dir():
                pieces = [f"{one.name}:{_content(one, str(one))}" for one in sorted(path.iterdir())]
                yield name, ";".join(pieces), str(path)
            else:
                yield name, _content(path, str(path)), str(path)


def _resolve(
    known: dict[str, _Known], written: str, shown: str, conventions: Conventions
) -> tuple[str, bool]:
    """Name of the flag written so, and whether it is negated."""
    name = written.replace("-", "_")
    if name in known:
        return name, False
    for negation in conventions.negations:
        positive = name.removeprefix(negation)
        if positive != name and positive in known and known[positive].type is bool:
            return positive, True
    if name in conventions.refused:
        raise FlagError(f"{shown} is not served: {conventions.refused[name]}")
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f"; did you mean --{nearest[0]}?" if nearest else ""
    raise FlagError(f"unknown flag {shown}{advice}")


# ── text to value and back ────────────────────────────────────────────────────────────────────────
def _read(one: _Known, text: str, origin: str) -> Any:
    if text.startswith("file://"):
        text = _content(Path(text[len("file://") :]), origin)
    try:
        return _value(one.type, text)
    except ValueError as error:
        shown = "the value cannot be read" if one.flag.secret else str(error)
        raise FlagError(f"{origin}: {shown}") from None


def _value(type_: Any, text: str) -> Any:
    if type_ is str:
        return text
    if type_ is bool:
        if text.lower() in ("true", "1"):
            return True
        if text.lower() in ("false", "0"):
            return False
        raise FlagError(f"'{text}' is neither true nor false")
    if type_ in (int, float):
        try:
            return type_(text)
        except ValueError:
            raise FlagError(f"'{text}' is not a{' whole' if type_ is int else ''} number") from None
    if type_ is Path:
        if not text:
            raise FlagError("an empty text is not a path")
        return Path(text)
    if hasattr(type_, "parse"):
        return type_.parse(text)
    if get_origin(type_) is Literal:
        if text not in get_args(type_):
            raise FlagError(f"'{text}' is not one of {', '.join(get_args(type_))}")
        return text
    if text.startswith("/"):
        text = _content(Path(text), "JSON")
    try:
        return msgspec.json.decode(text, type=type_)
    except msgspec.MsgspecError as error:
        raise FlagError(f"not the JSON expected: {error}") from None


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float, Path)) or hasattr(value, "parse"):
        return str(value)
    return msgspec.json.encode(value).decode()


def _content(path: Path, origin: str) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise FlagError(f"{origin}: cannot read {path}: {why}") from None


def _split_unit(text: str) -> tuple[float | None, str]:
    text = text.strip()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    try:
        return float(number), text[len(number) :]
    except ValueError:
        return None, ""
