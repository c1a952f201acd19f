"""Who goes where: first fit, in the order of arrival."""

from hypothesis import given
from hypothesis import strategies as st

from koinon.simulator.study.description import Amounts
from koinon.simulator.study.measures import Tasks
from koinon.simulator.study.waiting import Kind, Waiting, Work
from tests.unit.study.studies import amounts

TASKS = Tasks("f", "w")
ROOM = st.builds(amounts, cpus=st.integers(0, 8), mem=st.integers(0, 8))
ASKED = st.builds(amounts, cpus=st.integers(1, 4), mem=st.integers(1, 4))


def filled(*asked, constraints=None):
    """Tasks that wait, numbered from 0; those that ask for the same are of one kind."""
    waiting, kinds = Waiting(), {}
    for number, amounts_ in enumerate(asked):
        kind = kinds.setdefault(amounts_, Kind(amounts_, constraints or {}))
        waiting.put(Work(number, str(number), TASKS, kind, 0.0, 1.0))
    return waiting


def taken(waiting, room, attributes=None):
    return [work.number for work in waiting.take(room, lambda: attributes or {})]


def test_the_oldest_goes_first_and_who_does_not_fit_lets_younger_ones_pass():
    small, big = amounts(cpus=1, mem=1), amounts(cpus=3, mem=1)
    waiting = filled(small, big, small, big, small)
    assert taken(waiting, amounts(cpus=5, mem=9)) == [0, 1, 2]
    assert taken(waiting, amounts(cpus=2, mem=9)) == [4]
    assert taken(waiting, amounts(cpus=2, mem=9)) == []
    assert taken(waiting, amounts(cpus=9, mem=9)) == [3]
    assert len(waiting) == 0


def test_who_is_put_back_goes_before_all_of_its_kind():
    small = amounts(cpus=1)
    waiting = filled(small, small)
    (first,) = waiting.take(small, dict)
    assert not waiting.put_back(first)
    assert taken(waiting, small) == [0]
    assert taken(waiting, small) == [1]
    assert waiting.put_back(first)  # it is the only one now


def test_constraints_keep_tasks_from_agents():
    small = amounts(cpus=1)
    waiting = filled(small, constraints={"rack": ("a", "b"), "disk": ("ssd",)})
    assert taken(waiting, small, {"rack": "a"}) == []
    assert taken(waiting, small, {"rack": "c", "disk": "ssd"}) == []
    assert taken(waiting, small, {"rack": "b", "disk": "ssd", "row": "1"}) == [0]


@given(st.lists(ASKED, max_size=30), st.lists(ROOM, max_size=10))
def test_no_room_is_overfilled_nobody_vanishes_and_nobody_who_fits_is_left(asked, rooms):
    waiting, gone = filled(*asked), []
    for room in rooms:
        works = waiting.take(room, dict)
        used = Amounts(*(sum(work.kind.amounts[at] for work in works) for at in range(4)))
        assert used.fits(room)
        left = Amounts(*(have - use for have, use in zip(room, used, strict=True)))
        assert not any(work.kind.amounts.fits(left) for work in waiting)
        gone += works
        assert len(waiting) == len(list(waiting)) == len(asked) - len(gone)
    assert sorted(work.number for work in (*gone, *waiting)) == list(range(len(asked)))


@given(st.lists(ASKED, max_size=30), ROOM)
def test_the_choice_is_that_of_going_through_all_in_order(asked, room):
    left, expected = list(room), []
    for number, one in enumerate(asked):
        if all(need <= have for need, have in zip(one, left, strict=True)):
            left = [have - need for need, have in zip(one, left, strict=True)]
            expected.append(number)
    assert taken(filled(*asked), room) == expected
