"""Files over HTTP: what is shown, and what never is."""

import os
from pathlib import Path

import pytest

from koinon.edge import Files, FilesError
from koinon.edge.files import whole_characters
from tests import shapes


@pytest.fixture
def root(tmp_path):
    shown = tmp_path / "shown"
    (shown / "sub").mkdir(parents=True)
    (shown / "stdout").write_text("hello world")
    (shown / "sub" / "deep").write_text("deep")
    (tmp_path / "secret").write_text("secret")
    return shown


@pytest.fixture
async def files(server, client, root):
    made = Files()
    made.attach("/runs/latest", root)
    made.attach("/master/log", root / "stdout")
    made.serve(server)
    return made


async def test_browse_lists_a_directory(files, client):
    async with client.get("/files/browse?path=/runs/latest") as response:
        listed = await response.json()
    assert [one["path"] for one in listed] == ["/runs/latest/stdout", "/runs/latest/sub"]
    assert listed[0]["size"] == 11
    assert listed[0]["mode"].startswith("-rw")
    assert listed[1]["mode"].startswith("d")
    assert shapes.problems("agent-files-browse", listed) == []


async def test_read_gives_size_without_offset_and_data_from_one(files, client):
    async with client.get("/files/read?path=/runs/latest/stdout") as response:
        answer = await response.json()
    assert answer == {"offset": 11, "data": ""}
    assert shapes.problems("master-files-read", answer) == []
    async with client.get("/files/read.json?path=/runs/latest/stdout&offset=6&length=3") as response:
        assert await response.json() == {"offset": 6, "data": "wor"}
    async with client.get("/files/read?path=/runs/latest/stdout&offset=99") as response:
        assert await response.json() == {"offset": 99, "data": ""}
    async with client.get("/files/read?path=/master/log&offset=0") as response:
        assert (await response.json())["data"] == "hello world"


async def test_read_gives_16_pages_at_most_and_no_half_characters(files, client, root):
    (root / "wide").write_text("é" * 40_000 + "!")  # 80,001 bytes
    async with client.get("/files/read?path=/runs/latest/wide&offset=0") as response:
        assert (await response.json())["data"] == "é" * 32_768
    async with client.get("/files/read?path=/runs/latest/wide&offset=0&length=5") as response:
        assert (await response.json())["data"] == "éé"


def test_whole_characters_keeps_what_is_no_text():
    assert whole_characters(b"ab\xc3") == b"ab"
    assert whole_characters("aé".encode()) == "aé".encode()
    assert whole_characters(b"\xc3") == b"\xc3"
    assert whole_characters(b"\xff\xfe") == b"\xff\xfe"


async def test_download_gives_the_bytes(files, client, root):
    (root / "binary").write_bytes(bytes(range(256)) * 3000)
    async with client.get("/files/download?path=/runs/latest/binary") as response:
        assert await response.read() == bytes(range(256)) * 3000
        assert response.headers["Content-Disposition"] == 'attachment; filename="binary"'


async def test_debug_maps_virtual_to_real(files, client, root):
    async with client.get("/files/debug") as response:
        answer = await response.json()
    assert answer == {"/runs/latest": str(root), "/master/log": str(root / "stdout")}
    assert shapes.problems("agent-files-debug", answer) == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("browse", 400),
        ("browse?path=", 400),
        ("browse?path=/nothing", 404),
        ("browse?path=/runs/latest/nothing", 404),
        ("browse?path=/runs/latest/stdout/x", 404),
        ("browse?path=/runs/latest/..", 403),
        ("read?path=/runs/latest/../secret&offset=0", 403),
        ("read?path=/runs/latest/link&offset=0", 403),
        ("download?path=/runs/latest/link", 403),
        ("browse?path=/runs/latest/up", 403),
        ("read?path=/runs/latest/up/secret&offset=0", 403),
        ("read?path=/runs/latest/sub&offset=0", 400),
        ("read?path=/runs/latest/pipe&offset=0", 400),
        ("read?path=/runs/latest/stdout&offset=-2", 400),
        ("read?path=/runs/latest/stdout&offset=x", 400),
        ("read?path=/runs/latest/stdout&length=-5", 400),
        ("read?path=/runs/latest/nul%00byte&offset=0", 403),
        ("read?path=/runs/latestx&offset=0", 404),
    ],
)
async def test_path_that_cannot_be_shown(files, client, root, query, status):
    (root / "link").symlink_to("../secret")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "pipe")
    async with client.get(f"/files/{query}") as response:
        assert response.status == status
        text = await response.text()
    assert "secret" not in text or "secret" in query
    assert len(text.splitlines()) == 1


async def test_link_that_stays_inside_is_followed(files, root):
    (root / "link").symlink_to("sub/deep")
    assert await files.read("/runs/latest/link", 0, None) == (4, b"deep")


async def test_attached_path_may_itself_lead_through_a_link(files, root, tmp_path):
    (tmp_path / "latest").symlink_to(root)
    files.attach("/by-link", tmp_path / "latest")
    assert await files.read("/by-link/stdout", 0, 5) == (11, b"hello")


async def test_detached_path_is_gone(files):
    files.detach("/master/log")
    with pytest.raises(FilesError) as refused:
        await files.read("/master/log", 0, None)
    assert refused.value.status == 404


async def test_detached_file_below_an_attached_directory_is_still_shown(files):
    files.detach("/master/log")
    assert (await files.browse("/runs/latest/stdout"))[0].size == 11


async def test_a_device_is_told_by_looking_only(files, root, monkeypatch):
    (root / "device").symlink_to("/dev/null")
    files.attach("/everything", Path("/"))
    opened: list[tuple[str, int]] = []
    real = os.open

    def spy(path, flags, *rest, **more):
        opened.append((str(path), flags))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", spy)
    for path, status in (("/runs/latest/device", 403), ("/everything/dev/null", 400)):
        with pytest.raises(FilesError) as refused:
            await files.read(path, 0, None)
        assert refused.value.status == status
    assert opened
    assert all(flags & os.O_PATH for _, flags in opened)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_hard_link_to_another_users_file_shows_nothing(files, root, tmp_path):
    secret = tmp_path / "secret-of-root"
    secret.write_text("secret")
    secret.chmod(0o600)
    os.link(secret, root / "innocent")
    os.link(root / "stdout", root / "own")
    for path in (root, root / "stdout"):
        os.chown(path, 65534, 65534)
    with pytest.raises(FilesError) as refused:
        await files.read("/runs/latest/innocent", 0, None)
    assert refused.value.status == 403
    assert (await files.read("/runs/latest/own", 0, 5))[1] == b"hello"
