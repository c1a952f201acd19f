"""Archives: each kind is taken apart, and none gets out of the sandbox."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from koinon.agent.fetcher import FetchError
from tests.unit.fetcher.archives import COMPRESSED, HONEST, entry, hard_link, symlink, tar, zipped
from tests.unit.fetcher.conftest import URI, everything

HONEST_TREE = {
    "top": None,
    "top/deep": None,
    "top/deep/er": None,
    "top/deep/er/data": "data",
    "top/deep/link": ("link", "../run.sh"),
    "top/run.sh": "#!/bin/sh\necho ran\n",
    "top/same": "#!/bin/sh\necho ran\n",
}


@pytest.mark.parametrize("suffix", COMPRESSED)
async def test_every_kind_of_tar_is_taken_apart(desk, suffix):
    sandbox = await desk.fetch_body(f"/a{suffix}", COMPRESSED[suffix](HONEST))
    found = everything(sandbox)
    assert found.pop(f"a{suffix}"), "the archive stays"
    assert found == HONEST_TREE
    assert (sandbox / "top/run.sh").stat().st_mode & 0o7777 == 0o755
    assert (sandbox / "top/deep/er/data").stat().st_mtime == 1_000_000_000


async def test_the_compression_is_what_the_file_says_not_its_name(desk):
    assert (await desk.fetch_body("/a.tgz", HONEST) / "top/run.sh").exists()
    assert (await desk.fetch_body("/b.tar", gzip.compress(HONEST)) / "top/run.sh").exists()


async def test_zip_is_taken_apart(desk):
    link = stat.S_IFLNK | 0o777
    body = zipped(("d/", b"", 0), ("d/x", b"1", 0o100755), ("y", b"2", 0), ("d/l", b"../y", link))
    sandbox = await desk.fetch_body("/a.zip", body)
    found = everything(sandbox)
    del found["a.zip"]
    assert found == {"d": None, "d/x": "1", "d/l": ("link", "../y"), "y": "2"}
    assert (sandbox / "d/x").stat().st_mode & 0o7777 == 0o755


async def test_gz_is_unpacked_beside_itself(desk):
    sandbox = await desk.fetch_body("/f.txt.gz", gzip.compress(b"text", mtime=0))
    assert (sandbox / "f.txt").read_text() == "text"


async def test_extraction_can_be_declined(desk, site):
    site.bodies["/a.tar"] = HONEST
    assert list(everything(await desk.fetch(URI(value=site.url("/a.tar"), extract=False)))) == ["a.tar"]


async def test_a_file_of_this_machine_is_taken_apart_too(desk, tmp_path):
    (tmp_path / "a.tar").write_bytes(HONEST)
    assert (await desk.fetch(str(tmp_path / "a.tar")) / "top/run.sh").exists()


# ── hostile ───────────────────────────────────────────────────────────────────────────────────────
ESCAPES = {
    "dots": [entry("../out", b"x")],
    "dots within": [entry("a/../../out", b"x")],
    "link up": [symlink("l", "../"), entry("l/out", b"x")],
    "link up, refused by itself": [symlink("l", "..")],
    "absolute link": [symlink("l", "/tmp")],
    "link through a link": [
        symlink("a/b/c/x", "../../.."),
        symlink("y", "a/b/c/x/../.."),
        entry("y/out", b"x"),
    ],
    "link through a link that comes later": [
        symlink("y", "a/b/c/x/../.."),
        symlink("a/b/c/x", "../../.."),
        entry("y/out", b"x"),
    ],
    "file through a link that stays inside": [entry("d/f", b"x"), symlink("l", "d"), entry("l/out", b"x")],
    "hard link up": [hard_link("h", "../../secret")],
    "absolute hard link, then write": [hard_link("h", "/etc/hostname"), entry("h", b"x")],
    "hard link to a link": [symlink("a/b/l", "../.."), hard_link("l", "a/b/l"), entry("l/out", b"x")],
    "device": [entry("dev", kind=tarfile.CHRTYPE)],
    "block device": [entry("dev", kind=tarfile.BLKTYPE)],
    "pipe": [entry("fifo", kind=tarfile.FIFOTYPE)],
    "file in the place of a directory": [entry("d/f", b"x"), entry("d", b"x")],
}


@pytest.mark.parametrize("name", ESCAPES)
async def test_nothing_leaves_the_sandbox(desk, name):
    sandbox = desk.sandbox()
    outside = sandbox.parent
    before = sorted(outside.iterdir())
    with pytest.raises(FetchError, match=r"Failed to fetch .*/a\.tar: "):
        await desk.fetch_body("/a.tar", tar(*ESCAPES[name]), into=sandbox)
    assert sorted(outside.iterdir()) == before
    assert not [path for path in sandbox.rglob("*") if path.name in ("out", "dev", "fifo", "h")]


async def test_absolute_paths_stay_inside(desk):
    sandbox = await desk.fetch_body("/a.tar", tar(entry("/etc/koinon-test", b"x")))
    assert (sandbox / "etc/koinon-test").read_text() == "x"


async def test_a_link_is_replaced_and_not_written_through(desk, tmp_path):
    target = tmp_path / "target"
    target.write_text("before")
    sandbox = desk.sandbox()
    (sandbox / "f").symlink_to(target)
    await desk.fetch_body("/a.tar", tar(entry("f", b"new")), into=sandbox)
    assert target.read_text() == "before"
    assert (sandbox / "f").read_text() == "new"


async def test_a_hard_link_is_replaced_and_not_written_through(desk, tmp_path):
    target = tmp_path / "target"
    target.write_text("before")
    sandbox = desk.sandbox()
    os.link(target, sandbox / "f")
    await desk.fetch_body("/f", b"new", into=sandbox)
    assert (target.read_text(), (sandbox / "f").read_text()) == ("before", "new")


async def test_special_bits_are_gone(desk):
    body = tar(entry("f", b"x", mode=0o7777), entry("d/", kind=tarfile.DIRTYPE, mode=0o7777))
    sandbox = await desk.fetch_body("/a.tar", body)
    assert (sandbox / "f").stat().st_mode & 0o7777 == 0o755
    assert (sandbox / "d").stat().st_mode & 0o7777 == 0o755
    zipped_sandbox = await desk.fetch_body("/a.zip", zipped(("f", b"x", 0o106777)))
    assert (zipped_sandbox / "f").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "member",
    [
        ("../out", b"x", 0o100644),
        ("a/../../out", b"x", 0o100644),
        ("l", b"../..", stat.S_IFLNK | 0o777),
        ("dev", b"", stat.S_IFCHR | 0o666),
    ],
)
async def test_nothing_of_a_zip_leaves_the_sandbox(desk, member):
    sandbox = desk.sandbox()
    before = sorted(sandbox.parent.iterdir())
    with pytest.raises(FetchError, match=r"a\.zip: "):
        await desk.fetch_body("/a.zip", zipped(member), into=sandbox)
    assert sorted(sandbox.parent.iterdir()) == before
    assert sorted(everything(sandbox)) == ["a.zip"]


async def test_a_zip_bomb_is_stopped_by_the_quota(desk):
    body = zipped(*((f"f{n}", bytes(8 << 20), 0o100644) for n in range(8)))
    assert len(body) < 1 << 17
    sandbox = desk.sandbox()
    with pytest.raises(FetchError, match=r"larger than the 10\.0 MB"):
        await desk.fetch_body("/a.zip", body, into=sandbox, limit=10 << 20)
    assert sum(path.stat().st_size for path in sandbox.iterdir()) <= 10 << 20


@pytest.mark.parametrize("suffix", [*COMPRESSED, ".zip", ".gz"])
@pytest.mark.parametrize("damage", ["cut", "noise"])
async def test_a_damaged_archive_is_a_sentence(desk, suffix, damage):
    if suffix == ".zip":
        body = zipped(("f", os.urandom(5000), 0o100644))
    elif suffix == ".gz":
        body = gzip.compress(os.urandom(5000))
    else:
        body = COMPRESSED[suffix](tar(entry("f", os.urandom(50_000))))
    body = body[: len(body) // 2] if damage == "cut" else b"\xff" * 1000
    with pytest.raises(FetchError, match="no such archive, or damaged"):
        await desk.fetch_body(f"/a{suffix}", body)


async def test_an_encrypted_zip_is_a_sentence(desk):
    body = bytearray(zipped(("f", b"x", 0o100644)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(signature) + offset] |= 1
    with pytest.raises(FetchError, match="encrypted"):
        await desk.fetch_body("/a.zip", bytes(body))


async def test_a_name_that_is_too_long_is_a_sentence(desk):
    with pytest.raises(FetchError, match="File name too long"):
        await desk.fetch_body("/a.tar", tar(entry("x" * 300, b"")))


async def test_many_entries_are_no_burden(desk):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(3000):
            archive.writestr(f"d{number % 50}/f{number}", b"")
    sandbox = await desk.fetch_body("/a.zip", out.getvalue())
    assert len(list(sandbox.glob("d*/f*"))) == 3000
