"""Rolling replacement: the worked courses of the reference, and the laws that hold for all."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.marathon.core.rolling import Moves, Seen, Standing, bounds, moves

WELL, UNWELL, UNKNOWN = Standing.WELL, Standing.UNWELL, Standing.UNKNOWN
WAITING, COMING, DYING = Standing.WAITING, Standing.COMING, Standing.DYING


class Service:
    """Instances, as far as a replacement sees them. What is killed is dying until somebody lets it end."""

    def __init__(self, n: int, mhc: float, moc: float, *, old: int, resident: bool = False) -> None:
        self.n = n
        self.limits = bounds(n, mhc, moc)
        self.old: dict[str, Standing] = {f"old-{i}": WELL for i in range(old)}
        self.new: dict[str, Standing] = {}
        self.resident = resident
        self.limit: int | None = None
        self.made = 0

    def step(self) -> Moves:
        """Asks for the next moves, and makes them."""
        found = moves(
            self.n,
            self.limits,
            [Seen(*one) for one in self.old.items()],
            [Seen(*one) for one in self.new.items()],
            limit=self.limit,
            resident=self.resident,
        )
        for victim in found.kill:
            of = self.old if victim in self.old else self.new
            if of[victim] is WAITING:
                del of[victim]
            else:
                of[victim] = DYING
        for _ in range(found.launch):
            self.made += 1
            self.new[f"new-{self.made}"] = COMING
        return found

    def play(self) -> tuple[int, int]:
        """Steps until nothing moves; how many were killed and launched."""
        killed = launched = 0
        while (found := self.step()).kill or found.launch:
            killed += len(found.kill)
            launched += found.launch
        return killed, launched

    def die(self, number: int = 1) -> None:
        """So many of the dying end."""
        for of in (self.old, self.new):
            for one in [one for one, standing in of.items() if standing is DYING][:number]:
                del of[one]
                number -= 1

    def get_well(self, number: int = 1) -> None:
        """So many of the coming are well."""
        for one in [one for one, standing in self.new.items() if standing is COMING][:number]:
            self.new[one] = WELL

    def count(self, standing: Standing) -> int:
        return [*self.old.values(), *self.new.values()].count(standing)

    @property
    def alive(self) -> int:
        return len(self.old) + len(self.new)


# ── the courses of the reference ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("n", "mhc", "moc", "expected"),
    [
        (10, 1, 1, (10, 20)),
        (10, 0.5, 0.2, (5, 12)),
        (10, 0.8, 0, (8, 10)),
        (4, 1, 0, (4, 4)),
        (4, 0, 0, (0, 4)),
        (4, 0.5, 0, (2, 4)),
        (3, 0.7, 0.5, (3, 4)),
        (1, 1, 1, (1, 2)),
        (100, 0.07, 0.07, (7, 107)),
        (0, 1, 1, (0, 0)),
    ],
)
def test_bounds(n: int, mhc: float, moc: float, expected: tuple[int, int]) -> None:
    """Rounded so that at least so many are healthy, at most so many alive."""
    assert bounds(n, mhc, moc) == expected


@pytest.mark.parametrize(
    ("n", "old", "mhc", "moc", "killed", "launched"),
    [
        (10, 10, 1, 1, 0, 10),
        (10, 10, 0.5, 0.2, 5, 2),
        (10, 10, 0.8, 0, 2, 0),
        (4, 4, 1, 0, 0, 1),
        (4, 4, 0, 0, 4, 0),
        (3, 3, 0.7, 0.5, 0, 1),
        (1, 1, 1, 1, 0, 1),
        (4, 10, 1, 1, 6, 0),
    ],
)
def test_first_moves(n: int, old: int, mhc: float, moc: float, killed: int, launched: int) -> None:
    """What is killed and launched before anything has happened."""
    assert Service(n, mhc, moc, old=old).play() == (killed, launched)


def test_double_capacity_retires_one_old_for_each_healthy_new() -> None:
    service = Service(10, 1, 1, old=10)
    service.play()
    for _ in range(10):
        service.get_well()
        assert service.play() == (1, 0)
    service.die(10)
    assert service.step() == Moves(done=True)


def test_half_capacity_launches_up_to_seven_as_five_die_then_one_for_one() -> None:
    service = Service(10, 0.5, 0.2, old=10)
    service.play()
    for _ in range(5):
        service.die()
        assert service.play() == (0, 1)
    assert service.count(COMING) == 7
    service.get_well()
    assert service.play() == (1, 0)
    service.die()
    assert service.play() == (0, 1)


def test_without_over_capacity_it_goes_in_pairs() -> None:
    service = Service(10, 0.8, 0, old=10)
    service.play()
    for _ in range(4):
        service.die(2)
        assert service.play() == (0, 2)
        service.get_well(2)
        assert service.play() == (2, 0)
    service.die(2)
    assert service.play() == (0, 2)
    service.get_well(2)
    assert service.step() == Moves(done=True)


def test_without_room_there_is_one_extra_at_a_time() -> None:
    service = Service(4, 1, 0, old=4)
    service.play()
    for left in (3, 2, 1):
        assert service.alive == 5
        service.get_well()
        assert service.play() == (1, 0)
        service.die()
        assert len(service.old) == left
        assert service.play() == (0, 1)
    service.get_well()
    assert service.play() == (1, 0)
    service.die()
    assert service.step() == Moves(done=True)


def test_without_minimum_each_starts_as_an_old_one_ends() -> None:
    service = Service(4, 0, 0, old=4)
    service.play()
    for _ in range(4):
        service.die()
        assert service.play() == (0, 1)


def test_residents_make_room_first() -> None:
    service = Service(4, 0.5, 0, old=4, resident=True)
    assert service.play() == (2, 0)
    service.die(2)
    assert service.play() == (0, 2)
    service.get_well(2)
    assert service.play() == (2, 0)
    no_room = Service(4, 1, 0, old=4, resident=True)
    assert no_room.play() == (1, 0)


def test_rounding_leaves_no_early_kill() -> None:
    service = Service(3, 0.7, 0.5, old=3)
    for _ in range(3):
        assert service.play() == (0, 1)
        service.get_well()
        assert service.play() == (1, 0)
        service.die()
    assert service.step() == Moves(done=True)


def test_fewer_with_a_new_command_start_when_fewer_than_eight_old_ones_remain() -> None:
    service = Service(4, 1, 1, old=10)
    assert service.play() == (6, 0)
    service.die(2)
    assert service.play() == (0, 0)
    service.die()
    assert service.play() == (0, 1)
    service.die(3)
    assert service.play() == (0, 3)


# ── what the reference does not tell ──────────────────────────────────────────────────────────────
def test_unwell_old_ones_go_first() -> None:
    service = Service(4, 0.5, 0, old=4)
    service.old["old-2"] = UNWELL
    assert "old-2" in service.step().kill


def test_unwell_old_ones_do_not_block_an_upgrade_without_room() -> None:
    """The upgrade may be what makes the service work again."""
    service = Service(4, 1, 0, old=4)
    service.old = dict.fromkeys(service.old, UNWELL)
    assert service.play() == (4, 0)
    service.die(4)
    assert service.play() == (0, 4)


def test_old_ones_that_nobody_has_asked_yet_are_waited_for() -> None:
    """After a change of leader no health is known; that is no reason to kill."""
    service = Service(4, 1, 0, old=4)
    service.old = dict.fromkeys(service.old, UNKNOWN)
    assert service.play() == (0, 0)


def test_broken_new_version_leaves_the_old_one_alone() -> None:
    service = Service(4, 1, 0.5, old=4)
    service.play()
    service.new = dict.fromkeys(service.new, UNWELL)
    assert service.play() == (0, 0)
    assert list(service.old.values()) == [WELL] * 4


def test_canary_halts_after_the_first_and_goes_on() -> None:
    service = Service(4, 1, 1, old=4)
    service.limit = 1
    assert service.play() == (0, 1)
    service.get_well()
    assert service.play() == (1, 0)
    assert not service.step().halted or service.count(DYING)
    service.die()
    assert service.step() == Moves(halted=True)
    service.limit = None
    assert service.play() == (0, 3)


def test_canary_without_minimum_keeps_the_others() -> None:
    service = Service(10, 0, 0, old=10)
    service.limit = 2
    assert service.play() == (2, 0)
    service.die(2)
    assert service.play() == (0, 2)


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────
_capacities = st.integers(0, 20).map(lambda twentieth: twentieth / 20)


@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(1, 12),
    old=st.integers(0, 15),
    mhc=_capacities,
    moc=_capacities,
    limit=st.none() | st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_laws(n: int, old: int, mhc: float, moc: float, limit: int | None, seed: int) -> None:
    """With failures, then without: never below the minimum by our doing, never above the maximum, it ends.

    Nothing is remembered between moves, so each move is one after which it is taken up by somebody else.
    """
    random = Random(seed)
    service = Service(n, mhc, moc, old=old)
    service.limit = limit
    for one in service.old:
        service.old[one] = random.choice((WELL, WELL, WELL, UNWELL, UNKNOWN, COMING))
    most = service.limits.alive_max + (service.limits.healthy_min == service.limits.alive_max)
    for round_ in range(1000):
        service.limit = limit if round_ < 200 else None
        well = service.count(WELL)
        found = service.step()
        after = service.count(WELL)
        assert after >= min(well, service.limits.healthy_min), "killed below the minimum"
        assert service.alive <= most or not found.launch, "launched above the maximum"
        assert service.limit is None or len(service.new) <= service.limit, "more than the canaries"
        if found.done:
            break
        _happen(service, random, with_failures=round_ < 100)
    else:
        raise AssertionError(f"does not end: {service.old} {service.new}")
    assert list(service.new.values()) == [WELL] * n
    assert not service.old


def _happen(service: Service, random: Random, with_failures: bool) -> None:
    for of in (service.old, service.new):
        for one, standing in list(of.items()):
            if random.random() < 0.5:
                continue
            if standing is DYING:
                del of[one]
            elif standing in (COMING, UNKNOWN):
                of[one] = random.choice((WELL, UNKNOWN, UNWELL)) if with_failures else WELL
            elif standing is UNWELL:
                of[one] = WELL if of is service.new or random.random() < 0.2 else UNWELL
            elif with_failures and random.random() < 0.1:
                of[one] = UNWELL
