"""When messages are tried: time is a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from koinon.chronos.notices.backlog import Backlog
from koinon.chronos.notices.delivery import Delivery


def message(name: str = "a", at: float = 0.0) -> Delivery:
    return Delivery(name, "mail", at)


def backlog(*messages: Delivery, patience_s: float = 1e6) -> Backlog:
    found = Backlog(patience_s=patience_s)
    for one in messages:
        found.add(one, one.at)
    return found


def test_messages_are_tried_at_once_in_their_order() -> None:
    waiting = backlog(message("a"), message("b"), message("a"))
    assert len(waiting) == 2
    for name in "ab":
        taken = waiting.take(0.0)
        assert taken is not None
        assert taken.id == name
        waiting.done(taken)
    assert waiting.take(0.0) is None
    assert waiting.next_try() is None
    assert len(waiting) == 0


def test_one_that_is_not_taken_is_tried_later_and_later_and_holds_up_nobody() -> None:
    waiting = backlog(message("a"), message("b"))
    now, pauses = 0.0, []
    for _ in range(12):
        taken = waiting.take(now)
        assert taken == message("a")
        assert waiting.later(taken, now)
        if (other := waiting.take(now)) is not None:
            waiting.done(other)
        due = waiting.next_try()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses == [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_while_the_channel_does_not_work_one_finds_out_for_all() -> None:
    waiting = backlog(*(message(name) for name in "abc"))
    now, tried, pauses = 0.0, "", []
    for _ in range(9):
        taken = waiting.take(now)
        assert taken is not None
        tried += taken.id
        assert waiting.unreachable(taken, now)
        assert waiting.take(now + 1.9) is None
        due = waiting.next_try()
        assert due is not None
        pauses.append(due - now)
        now = due
    # They take turns: one that its server cannot swallow does not look like an outage for ever.
    assert tried == "abc" * 3
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    while (taken := waiting.take(now)) is not None:
        waiting.done(taken)
    assert len(waiting) == 0


def test_too_old_ones_are_dropped_when_they_are_not_taken() -> None:
    waiting = backlog(message("a", at=0.0), message("b", at=50.0), patience_s=100.0)
    first = waiting.take(90.0)
    assert first is not None
    assert not waiting.later(first, 90.0)
    second = waiting.take(90.0)
    assert second is not None
    assert waiting.unreachable(second, 90.0)
    second = waiting.take(149.0)
    assert second is not None
    assert not waiting.unreachable(second, 149.0)
    assert len(waiting) == 0


@given(st.lists(st.sampled_from(["done", "later", "unreachable"]), max_size=60), st.integers(1, 5))
def test_none_is_lost_and_none_is_tried_twice_at_once(answers: list[str], count: int) -> None:
    waiting = backlog(*(message(str(n)) for n in range(count)))
    now, done = 0.0, set[str]()
    for answer in answers:
        due = waiting.next_try()
        assert (due is None) == (len(done) == count)
        if due is None:
            break
        now = max(now, due)
        taken = waiting.take(now)
        assert taken is not None
        assert taken.id not in done
        if answer == "done":
            waiting.done(taken)
            done.add(taken.id)
        else:
            assert getattr(waiting, answer)(taken, now)
        assert len(waiting) == count - len(done)
