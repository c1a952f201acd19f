"""Flags as services spell them."""

from pathlib import Path
from typing import Annotated

import pytest

from koinon.flags import Flag, FlagError, describe, help_text, load, load_or_exit
from koinon.service.flags import Credentials, Milliseconds, Names, Seconds, ServiceFlags, conventions

CONVENTIONS = conventions("SHOP_APP_", refused={"plugin_dir": "there are no plugins"})


class ShopFlags(ServiceFlags, frozen=True, kw_only=True):
    """Flags of a service, some of its own."""

    pause: Annotated[Milliseconds, Flag("How long.")] = Milliseconds(1.5)
    names: Annotated[Names, Flag("Which.")] = Names(("a",))

    def __post_init__(self) -> None:
        self.check()


def flags(*argv: str, directory: Path = Path("/nowhere"), **environ: str) -> ShopFlags:
    return load(
        ShopFlags,
        ["--master=h", *argv],
        environ=environ,
        prefixes=("SHOP_",),
        directories=(directory,),
        conventions=CONVENTIONS,
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("2500", 2.5), ("0", 0), ("2secs", 2), ("1500ms", 1.5), ("5mins", 300)]
)
def test_a_number_is_milliseconds_and_a_unit_counts(text: str, seconds: float) -> None:
    assert flags(f"--pause={text}").pause == seconds


@pytest.mark.parametrize(("text", "seconds"), [("2500", 2500), ("2secs", 2), ("1weeks", 604800)])
def test_or_seconds_where_the_flag_says_so(text: str, seconds: float) -> None:
    assert flags(f"--failover_timeout={text}").failover_timeout == seconds


@pytest.mark.parametrize("text", ["", "x", "-5", "1.5", "5 parsecs"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(FlagError, match="--pause"):
        flags(f"--pause={text}")


def test_what_is_shown_can_be_read_again() -> None:
    shown = describe(
        flags("--pause=2500", "--failover_timeout=1200", "--names= b , c,", "--zk_session_timeout=4secs")
    )
    assert (shown["pause"], shown["failover_timeout"], shown["names"]) == ("2500", "1200", "b,c")
    assert shown["zk_session_timeout"] == "4000"
    assert Seconds.parse(str(Seconds(604_800))) == 604_800
    assert Seconds.parse(str(Seconds(3_000_000))) == 3_000_000


@pytest.mark.parametrize("option", ["--disable_ha", "--disable-ha", "--no-ha", "--ha=false"])
def test_a_switch_is_switched_off(option: str) -> None:
    assert not flags(option).ha


def test_an_empty_variable_switches_on_and_disable_off() -> None:
    assert flags(SHOP_MESOS_AUTHENTICATION="", SHOP_MESOS_AUTHENTICATION_PRINCIPAL="p").mesos_authentication
    assert not flags(SHOP_DISABLE_HA="").ha
    assert not flags(SHOP_HA="false").ha


def test_the_same_setting_in_two_places_is_an_error() -> None:
    with pytest.raises(FlagError, match="--pause is given, and SHOP_PAUSE in the environment, too"):
        flags("--pause=1", SHOP_PAUSE="1")
    with pytest.raises(FlagError, match="--disable_ha is given, and SHOP_HA in the environment, too"):
        flags("--disable_ha", SHOP_HA="")


def test_a_file_gives_way_to_both(tmp_path: Path) -> None:
    (tmp_path / "pause").write_text("1000\n")
    (tmp_path / "names").write_text("x,y\n")
    (tmp_path / "?disable_ha").write_text("")
    found = flags("--names=z", directory=tmp_path, SHOP_PAUSE="3000")
    assert (found.pause, found.names, found.ha) == (3, ("z",), False)


def test_variables_of_others_are_let_alone_and_unknown_ones_are_not() -> None:
    assert flags(SHOP_APP_ID="/shop", SHOPPING="1", PATH="/bin").pause == 1.5
    with pytest.raises(FlagError, match=r"unknown flag SHOP_PAUS; did you mean --pause\?"):
        flags(SHOP_PAUS="1")


def test_an_unknown_flag_names_the_nearest_and_a_known_one_why_it_is_not_there() -> None:
    with pytest.raises(FlagError, match=r"unknown flag --paus; did you mean --pause\?"):
        flags("--paus=1")
    with pytest.raises(FlagError, match="--plugin-dir is not served: there are no plugins"):
        flags("--plugin-dir=/x")
    with pytest.raises(FlagError, match="--https_port is not served: there is no HTTPS yet"):
        flags("--https_port=1")


def test_wrong_flags_have_their_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        load_or_exit(ShopFlags, ["--x"], program="shop", version="1", environ={}, conventions=CONVENTIONS)
    assert end.value.code == 112
    assert capsys.readouterr().err == "shop: unknown flag --x (see shop --help)\n"


def test_help_shows_how_to_switch_off() -> None:
    text = help_text(ShopFlags, "shop", prefixes=("SHOP_",), conventions=CONVENTIONS)
    assert "\n  --[disable_]ha\n" in text
    assert "\n  --pause=MS\n      How long. [default: 1500]\n" in text


def test_credentials_come_from_either_variable_and_are_not_shown() -> None:
    found = flags(MESOSPHERE_HTTP_CREDENTIALS="ann:s:t")
    assert found.http_credentials == Credentials("ann", "s:t")
    assert "s:t" not in f"{found} {describe(found)}"
    with pytest.raises(FlagError, match="http_credentials: the value cannot be read"):
        flags("--http_credentials=ann")


def test_the_secret_for_the_master_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("psst\n")
    given = (
        "--mesos_authentication",
        "--mesos_authentication_principal=me",
        f"--mesos_authentication_secret_file={tmp_path}/secret",
    )
    assert flags(*given).credential() == ("me", "psst")
    assert flags(*given[1:]).credential() is None
    with pytest.raises(FlagError, match="No such file"):
        flags(*given[:2], "--mesos_authentication_secret_file=/nowhere")
    with pytest.raises(FlagError, match="needs --mesos_authentication_principal"):
        flags("--mesos_authentication")


@pytest.mark.parametrize(
    "option",
    [
        "--http_port=70000",
        "--http_address=here",
        "--http_max_concurrent_requests=0",
        "--zk_session_timeout=0",
    ],
)
def test_impossible_values_are_refused(option: str) -> None:
    with pytest.raises(FlagError, match=option.partition("=")[0]):
        flags(option)
