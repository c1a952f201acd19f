"""Flags are read from every source alike, and every mistake is told in a sentence."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from koinon.flags import Duration, Flag, FlagError, Rate, Size, describe, help_text, load, load_or_exit


class Flags(Struct, frozen=True, kw_only=True):
    work_dir: Annotated[Path | None, Flag("Where things are kept.")] = None
    port: Annotated[int, Flag("Port to listen on.")] = 5050
    ping_timeout: Annotated[Duration, Flag("How long to wait.")] = Duration(15)
    cache_size: Annotated[Size, Flag("How much to keep.")] = Size.parse("2GB")
    removal_rate: Annotated[Rate | None, Flag("How fast to remove.")] = None
    switch_user: Annotated[bool, Flag("Run as the user.")] = True
    recover: Annotated[Literal["reconnect", "cleanup"], Flag("What to do.")] = "reconnect"
    attributes: Annotated[str | None, Flag("What it is like.")] = None
    variables: Annotated[dict[str, str] | None, Flag("More environment.")] = None
    credential: Annotated[str | None, Flag("Who we are.", secret=True)] = None

    def __post_init__(self) -> None:
        if self.ping_timeout < 1:
            raise ValueError("--ping_timeout must be at least 1secs")


def read(*argv: str, environ: dict[str, str] | None = None, directories: tuple[Path, ...] = ()) -> Flags:
    return load(Flags, argv, environ=environ or {}, directories=directories)


def test_every_form_of_the_command_line_is_understood() -> None:
    assert read(
        "--work-dir=/x", "--port", "0", "--no-switch-user", "--ping_timeout=5mins", "--removal_rate=1/10mins"
    ) == Flags(
        work_dir=Path("/x"),
        port=0,
        switch_user=False,
        ping_timeout=Duration(300),
        removal_rate=Rate(1, Duration(600)),
    )
    assert read("--no-switch_user") == read("--switch_user=false") == read("--switch-user=0")


def test_command_line_wins_over_environment_wins_over_files(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("1\n")
    (tmp_path / "recover").write_text("cleanup\n")
    (tmp_path / "cache_size").write_text("1MB")
    flags = read(
        "--port=3", environ={"MESOS_PORT": "2", "MESOS_RECOVER": "reconnect"}, directories=(tmp_path,)
    )
    assert (flags.port, flags.recover, flags.cache_size) == (3, "reconnect", 2**20)


def test_earlier_prefix_wins_and_unknown_environment_is_ignored() -> None:
    environ = {"MESOS_PORT": "1", "MESOS_SLAVE_PORT": "2", "MESOS_NATIVE_LIBRARY": "/lib"}
    assert load(Flags, [], environ=environ, prefixes=("MESOS_SLAVE_", "MESOS_")).port == 2


def test_files_spell_booleans_by_name_and_folders_build_piecewise(tmp_path: Path) -> None:
    (tmp_path / "?no-switch_user").touch()
    (tmp_path / "attributes").mkdir()
    (tmp_path / "attributes" / "rack").write_text("r1\n")
    (tmp_path / "attributes" / "os").write_text("debian\n")
    (tmp_path / ".port.swp").write_text("left by an editor")
    flags = read(directories=(tmp_path, tmp_path / "absent"))
    assert (flags.switch_user, flags.attributes) == (False, "os:debian;rack:r1")


def test_file_url_and_json_path_stand_for_their_content(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("tea\n")
    (tmp_path / "variables.json").write_text('{"A": "1"}')
    flags = read(f"--credential=file://{tmp_path}/secret", f"--variables={tmp_path}/variables.json")
    assert (flags.credential, flags.variables) == ("tea", {"A": "1"})
    assert read('--variables={"A":"1"}').variables == {"A": "1"}


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--prt=1"], "unknown flag --prt; did you mean --port?"),
        (["--zzzzzz"], "unknown flag --zzzzzz"),
        (["--port=1", "--port=2"], "--port is given twice"),
        (["--no-switch_user", "--switch-user"], "--switch_user is given twice"),
        (["--port"], "--port needs a value"),
        (["--port=x"], "--port: 'x' is not a whole number"),
        (["--switch_user=maybe"], "--switch_user: 'maybe' is neither true nor false"),
        (["--no-port"], "unknown flag --no-port; did you mean --port?"),
        (
            ["--ping_timeout=15"],
            "--ping_timeout: '15' is not a duration such as 500ms, 10secs, 5mins, 1hrs, 2days or 1weeks",
        ),
        (["--ping_timeout=0ns"], "--ping_timeout must be at least 1secs"),
        (["--cache_size=-1MB"], "--cache_size: '-1MB' is not a size such as 512B, 4KB, 32MB or 2GB"),
        (["--removal_rate=often"], "--removal_rate: 'often' is not a rate such as 1/10mins"),
        (["--recover=later"], "--recover: 'later' is not one of reconnect, cleanup"),
        (["--credential=file:///no/such"], "--credential: cannot read /no/such: No such file or directory"),
        (["work"], "unexpected argument 'work'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(FlagError) as caught:
        read(*argv)
    assert str(caught.value) == sentence


def test_mistakes_in_environment_and_files_name_their_place(tmp_path: Path) -> None:
    with pytest.raises(FlagError, match=r"^MESOS_PORT: 'x' is not a whole number$"):
        read(environ={"MESOS_PORT": "x"})
    (tmp_path / "prt").write_text("1")
    with pytest.raises(FlagError, match=f"^unknown flag {tmp_path}/prt; did you mean --port\\?$"):
        read(directories=(tmp_path,))


def test_required_flag_that_is_missing_is_named() -> None:
    class Strict(Struct):
        work_dir: Annotated[Path, Flag("Where.")]

    with pytest.raises(FlagError, match=r"^--work_dir is required$"):
        load(Strict, [], environ={})


def test_description_leaves_out_the_unset_and_hides_secrets() -> None:
    assert describe(read("--credential=tea", "--no-switch_user", "--removal_rate=1/10mins")) == {
        "port": "5050",
        "ping_timeout": "15secs",
        "cache_size": "2GB",
        "removal_rate": "1/10mins",
        "switch_user": "false",
        "recover": "reconnect",
        "credential": "<hidden>",
    }


def test_help_names_every_flag_with_form_and_default() -> None:
    text = help_text(Flags, "koinon master", directories=(Path("/etc/mesos-master"),))
    for expected in (
        "--port=N",
        "[default: 15secs]",
        "--[no-]switch_user",
        "--recover=reconnect|cleanup",
        "/etc/mesos-master/<name>",
    ):
        assert expected in text


def test_programs_exit_2_on_mistakes_and_0_after_help(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*argv: str) -> int | str | None:
        with pytest.raises(SystemExit) as exited:
            load_or_exit(Flags, argv, program="koinon master", version="1.2.3", environ={})
        return exited.value.code

    assert (run("--prt=1"), run("--help"), run("--version")) == (2, 0, 0)
    captured = capsys.readouterr()
    assert (
        captured.err == "koinon master: unknown flag --prt; did you mean --port? (see koinon master --help)\n"
    )
    assert captured.out.endswith("koinon master 1.2.3\n")


@pytest.mark.parametrize(
    "argument", ["zk://u:p@ss/word@h:1/p", "--port=zk://u:p@ss/word@h:1/p", "--nope=//u:word@h"]
)
def test_a_url_in_the_wrong_place_shows_no_password(argument, capsys) -> None:
    with pytest.raises(SystemExit):
        load_or_exit(Flags, [argument, "--prt"], program="koinon master", version="1.2.3", environ={})
    assert "word" not in capsys.readouterr().err


@given(st.integers(min_value=0, max_value=9 * 10**15))
def test_durations_survive_being_written_and_read(duration_us: int) -> None:
    duration = Duration(duration_us / 10**6)
    assert abs(Duration.parse(str(duration)) - duration) < 1e-6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10secs", 10),
        ("5mins", 300),
        ("1.5hrs", 5400),
        ("2days", 172800),
        ("1weeks", 604800),
        ("0ns", 0),
    ],
)
def test_durations_in_every_unit(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


class Temperature(Struct, frozen=True):
    """A type of flags that is declared elsewhere."""

    degrees: int

    METAVAR: ClassVar = "N°"

    @classmethod
    def parse(cls, text: str) -> "Temperature":
        if not text.endswith("°"):
            raise ValueError(f"'{text}' is not as warm as 20°")
        return cls(int(text[:-1]))

    def __str__(self) -> str:
        return f"{self.degrees}°"


class Stove(Struct, frozen=True, kw_only=True):
    heat: Annotated[Temperature | None, Flag("How warm.")] = None


def test_a_type_that_can_parse_is_a_type_of_flags() -> None:
    stove = load(Stove, ["--heat=20°"], environ={})
    assert stove == Stove(heat=Temperature(20))
    assert describe(stove) == {"heat": "20°"}
    assert "--heat=N°" in help_text(Stove, "stove")
    with pytest.raises(FlagError, match="--heat: 'hot' is not as warm as 20°"):
        load(Stove, ["--heat=hot"], environ={})


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--ping_timeout=1e400secs", "--ping_timeout: '1e400secs' is longer than 290 years"),
        ("--ping_timeout=20000weeks", "--ping_timeout: '20000weeks' is longer than 290 years"),
        ("--removal_rate=1/1e400secs", "--removal_rate: '1e400secs' is longer than 290 years"),
        ("--cache_size=1e400GB", "--cache_size: '1e400GB' is not a size"),
    ],
)
def test_what_nobody_can_count_is_refused(argument: str, sentence: str) -> None:
    with pytest.raises(FlagError, match=sentence):
        read(argument)
