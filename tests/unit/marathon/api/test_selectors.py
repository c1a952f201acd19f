"""Label selectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.marathon.api.selectors import parse
from koinon.marathon.model.problems import BadArgument

LABELS = {"env": "prod", "a b": "x,y", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "passes"),
    [
        ("env", True),
        ("environment", False),
        ("env==prod", True),
        (" env == prod ", True),
        ("env==test", False),
        ("env!=test", True),
        ("env!=prod", False),
        ("missing!=x", False),  # it must be there
        ("env in (test, prod)", True),
        ("env in(test)", False),
        ("env notin (test)", True),
        ("env notin (test,prod)", False),
        ("missing notin (x)", False),
        ("env==prod,empty", True),
        ("env==prod,missing", False),
        (r"a\ b==x\,y", True),
        ("in", False),
        ("notin==x", False),
    ],
)
def test_what_it_accepts(selector: str, passes: bool) -> None:
    assert parse(selector)(LABELS) is passes


@pytest.mark.parametrize(
    "selector", ["", ",", "==x", "a=b", "a==", "a,", "a b", "a in b", "a in ()", "a in (b", "a in (b,)", "ü"]
)
def test_what_cannot_be_understood_is_refused(selector: str) -> None:
    with pytest.raises(BadArgument):
        parse(selector)


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), min_size=1),
)
def test_any_label_can_be_named(labels: dict[str, str]) -> None:
    def escaped(text: str) -> str:
        return "".join(f"\\{one}" for one in text)

    selector = ",".join(
        f"{escaped(key)}=={escaped(value)}" if value else escaped(key) for key, value in labels.items()
    )
    assert parse(selector)(labels)
