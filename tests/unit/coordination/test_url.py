"""`zk://` URLs: what they say, and what of it may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.coordination.zookeeper import Url, UrlError, parse_url


@pytest.mark.parametrize(
    ("text", "servers", "path", "credentials"),
    [
        ("zk://zk1:2181/mesos", (("zk1", 2181),), "/mesos", None),
        (
            "zk://a,b:2182,10.0.0.1:2183/mesos/eu/",
            (("a", 2181), ("b", 2182), ("10.0.0.1", 2183)),
            "/mesos/eu",
            None,
        ),
        ("zk://me:secret@zk1/mesos", (("zk1", 2181),), "/mesos", "me:secret"),
        ("zk://me:p@ss/w:rd@zk1:2181/mesos", (("zk1", 2181),), "/mesos", "me:p@ss/w:rd"),
        ("zk://[::1]:2181,[fe80::1]/mesos", (("::1", 2181), ("fe80::1", 2181)), "/mesos", None),
        (" zk://zk1:2181\n", (("zk1", 2181),), "", None),
        ("zk://zk1:2181/", (("zk1", 2181),), "", None),
    ],
)
def test_what_a_url_says(text: str, servers: object, path: str, credentials: str | None) -> None:
    url = parse_url(text)
    assert (url.servers, url.path, url.credentials) == (servers, path, credentials)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zk:/zk1/mesos",
        "http://zk1/mesos",
        "zk://",
        "zk:///mesos",
        "zk://zk1:port/mesos",
        "zk://zk1:0/mesos",
        "zk://zk1:70000/mesos",
        "zk://zk1,,zk2/mesos",
        "zk://[::1/mesos",
        "zk://[::1]x/mesos",
        "zk://zk 1/mesos",
        "zk://zk1/a\0b",
        "zk://zk1/a//b",
        "zk://zk1/../b",
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(UrlError):
        parse_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "zk://hunter2@zk1/mesos",
        "zk://:hunter2@zk1/mesos",
        "zk://u:hunter2@zk1:x/mesos",
        "zk://u:hunter2@/mesos",
        "zks://u:hunter2@zk1/mesos",
        "zk://u:hunter2/zk1:2181/mesos",  # no @
        "zk://u:hunter2,zk1:2181/mesos",
        "zk://[u:hunter2/mesos",
        "zk://u:/hunter2//zk1/mesos",
    ],
)
def test_a_refusal_shows_no_password(text: str) -> None:
    with pytest.raises(UrlError) as refused:
        parse_url(text)
    assert "hunter2" not in str(refused.value)


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z][a-z0-9.-]{0,10}", fullmatch=True), st.integers(1, 65535)), min_size=1
    ),
    st.lists(st.from_regex(r"[a-z][a-z0-9._-]{0,8}", fullmatch=True), max_size=3),
    st.none() | st.from_regex(r"[a-z]{1,8}:[!-~]{1,10}", fullmatch=True),
)
def test_a_url_is_read_as_it_was_written(
    servers: list[tuple[str, int]], parts: list[str], credentials: str | None
) -> None:
    url = Url(tuple(servers), "".join(f"/{part}" for part in parts), credentials)
    user = "" if credentials is None else f"{credentials}@"
    assert parse_url(f"zk://{user}{url.hosts}{url.path}") == url
    if credentials is not None:
        assert str(url) == f"zk://{credentials.partition(':')[0]}:***@{url.hosts}{url.path or '/'}"
        assert repr(url) == f"Url({str(url)!r})"
