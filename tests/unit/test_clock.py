"""A clock that does not jump."""

import time

import pytest

from koinon.clock import SteadyClock


class Machine:
    """What a machine's clocks show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_s, self.running_s = 1_700_000_000.0, 50.0
        monkeypatch.setattr(time, "time", lambda: self.wall_s)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: self.running_s)

    def pass_time(self, seconds: float) -> None:
        self.wall_s += seconds
        self.running_s += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_it_begins_with_the_time_on_the_wall_and_counts(machine: Machine) -> None:
    clock = SteadyClock()
    assert clock.now() == 1_700_000_000.0
    machine.pass_time(12.5)
    assert clock.now() == pytest.approx(1_700_000_012.5)


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 0.5, -0.5])
def test_a_clock_that_is_set_does_not_make_time_jump(machine: Machine, jump_s: float) -> None:
    clock = SteadyClock()
    machine.wall_s += jump_s
    assert clock.now() == 1_700_000_000.0
    machine.pass_time(10.0)
    assert 9.5 <= clock.now() - 1_700_000_000.0 <= 10.5


@pytest.mark.parametrize("jump_s", [60.0, -60.0])
def test_in_the_end_it_shows_what_the_wall_shows(machine: Machine, jump_s: float) -> None:
    clock = SteadyClock()
    machine.wall_s += jump_s
    shown = clock.now()
    for _ in range(1300):
        machine.pass_time(1.0)
        assert clock.now() > shown
        shown = clock.now()
    assert shown == pytest.approx(machine.wall_s)
