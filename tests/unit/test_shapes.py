"""The checker of shapes itself: what it demands, and what it lets pass."""

from tests import shapes


def test_shape_demands_keys_at_each_element():
    whole = {"data": "x", "offset": 0}
    assert shapes.problems("master-files-read", whole) == []
    assert shapes.problems("master-files-read", {"data": "x"}) == ["answer.offset is missing"]


def test_shape_tells_int_from_float_and_bool():
    assert shapes.problems("master-files-read", {"data": "x", "offset": 1.0}) == [
        "answer.offset is not int but float: 1.0"
    ]
    assert shapes.problems("master-files-read", {"data": "x", "offset": True}) == [
        "answer.offset is not int but bool: True"
    ]


def test_keys_of_a_situation_are_demanded_only_where_that_situation_is():
    plain = {"roles": []}
    assert shapes.problems("master-roles", plain) == []
    assert shapes.problems("master-weights", [{"role": "a"}]) == ["answer[0].weight is missing"]


def test_unknown_keys_pass():
    assert shapes.problems("master-files-read", {"data": "x", "offset": 0, "more": None}) == []
