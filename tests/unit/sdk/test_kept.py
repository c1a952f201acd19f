"""What a framework says without a master, and what it asks until it is answered. Time is a number here."""

from hypothesis import given
from hypothesis import strategies as st

from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import kept
from koinon.sdk.kept import KeptCalls, Questions


def kill(task_id):
    return Call(type=Call.Type.KILL, kill=Call.Kill(task_id=v1.TaskID(task_id)))


def suppress(role):
    return Call(type=Call.Type.SUPPRESS, suppress=Call.Suppress(roles=[role]))


def revive(role):
    return Call(type=Call.Type.REVIVE, revive=Call.Revive(roles=[role]))


def test_calls_are_kept_in_the_order_in_which_they_were_last_made():
    calls = KeptCalls()
    for call in (suppress("a"), kill("t"), revive("a"), kill("t"), suppress("a")):
        assert calls.keep(call)
    assert calls.take() == [revive("a"), kill("t"), suppress("a")]
    assert calls.take() == []


def test_only_so_many_calls_are_kept(monkeypatch):
    monkeypatch.setattr(kept, "KEPT_MAX", 2)
    calls = KeptCalls()
    assert [calls.keep(kill(task_id)) for task_id in "abab"] == [True, True, True, True]
    assert not calls.keep(kill("c"))


def test_what_is_not_answered_is_due_again_with_growing_pauses():
    questions = Questions()
    questions.asked({"t": "S0", "u": None}, 100.0)
    due = []
    for _ in range(7):
        due.append(questions.due_s)
        questions.asked_again(questions.due_s)
    assert due == [101, 103, 107, 115, 131, 161, 191]
    questions.asked(questions.open, 200.0)  # somebody else
    assert questions.due_s == 201


@given(st.lists(st.sampled_from("tuv"), max_size=6))
def test_nothing_is_due_once_all_is_answered(answers):
    questions = Questions()
    questions.asked({"t": "S0", "u": None}, 0.0)
    for task_id in answers:
        questions.answered(task_id)
    assert questions.open.keys() == {"t", "u"} - set(answers)
    assert (questions.due_s is None) == (not questions.open)
