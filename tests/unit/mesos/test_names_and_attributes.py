"""Rules for names; attributes."""

import pytest

from koinon.mesos import v1
from koinon.mesos.attributes import attributes_object, parse_attributes
from koinon.mesos.names import id_problem, is_ancestor, role_problem


@pytest.mark.parametrize("good", ["a", "task.1", "a b", "...", "-", "ä" * 127, "x" * 255, "task:1@host#2"])
def test_good_ids(good):
    assert id_problem(good) is None


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("", "an id must not be empty"),
        (".", "'.' is not allowed as an id"),
        ("..", "'..' is not allowed as an id"),
        ("a/b", "'a/b' must not contain a slash or a backslash"),
        ("a\\b", "'a\\b' must not contain a slash or a backslash"),
        ("a\nb", "'a\\nb' must not contain control characters"),
        ("a\0", "'a\\x00' must not contain control characters"),
        ("a\x7f", "'a\\x7f' must not contain control characters"),
        ("x" * 256, "an id must not be longer than 255 bytes"),
        ("ä" * 128, "an id must not be longer than 255 bytes"),
    ],
)
def test_bad_ids(bad, problem):
    assert id_problem(bad) == problem


@pytest.mark.parametrize("good", ["*", "ads", "ads/web/x", "a-b", "a.b", "...", "ä", "a*", "**"])
def test_good_roles(good):
    assert role_problem(good) is None


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("", "must not be empty"),
        ("/", "slash"),
        ("/ads", "slash"),
        ("ads/", "slash"),
        ("ads//web", "slash"),
        (".", "'.' as a part"),
        ("ads/..", "'..' as a part"),
        ("ads/*", "'*' as a part"),
        ("*/ads", "'*' as a part"),
        ("-ads", "starts with '-'"),
        ("ads/-web", "starts with '-'"),
        ("a b", "whitespace or backspace"),
        ("a\tb", "whitespace or backspace"),
        ("a\n", "whitespace or backspace"),
        ("a\x0bb", "whitespace or backspace"),
        ("a\bb", "whitespace or backspace"),
    ],
)
def test_bad_roles(bad, problem):
    assert problem in role_problem(bad)


def test_a_role_lies_below_another_by_whole_parts():
    assert is_ancestor("ads", "ads/web")
    assert is_ancestor("ads", "ads/web/x")
    assert not is_ancestor("ads", "ads")
    assert not is_ancestor("ads", "adsweb")
    assert not is_ancestor("ads/web", "ads")


# ── attributes ────────────────────────────────────────────────────────────────────────────────────
def test_attributes_are_numbers_ranges_or_text():
    attributes = parse_attributes("rack:a; zone : 3 ;ports:[1-2,5-6];url:http://x:80/;rack:b;")
    assert [(one.name, one.type.value) for one in attributes] == [
        ("rack", "TEXT"),
        ("zone", "SCALAR"),
        ("ports", "RANGES"),
        ("url", "TEXT"),
        ("rack", "TEXT"),
    ]
    assert attributes_object(attributes) == {
        "rack": "b",
        "zone": 3.0,
        "ports": "[1-2, 5-6]",
        "url": "http://x:80/",
    }


def test_attributes_that_came_as_messages_are_shown_whatever_their_type():
    told = [
        v1.Attribute(name="load", type=v1.Value.Type.SCALAR, scalar=v1.Value.Scalar(0.12345)),
        v1.Attribute(name="disks", type=v1.Value.Type.SET, set=v1.Value.Set(item=["b", "a"])),
    ]
    assert attributes_object(told) == {"load": 0.123, "disks": "{a, b}"}


def test_no_attributes():
    assert parse_attributes(" ; ") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rack", "attribute 'rack' is not of the form name:value"),
        ("rack:", "is not of the form name:value"),
        (":a", "is not of the form name:value"),
        ("disks:{a,b}", "attribute 'disks' must be a number, ranges or text, not a set"),
        ("ports:[1]", "'1' is not a range"),
    ],
)
def test_attributes_that_make_no_sense_are_refused_with_a_sentence(text, problem):
    with pytest.raises(ValueError, match=r"attribute|range") as refusal:
        parse_attributes(text)
    assert problem in str(refusal.value)
