"""Writing below one directory, and nowhere else, whatever the names and links are that others give.

Every path is walked from open directory to open directory, and no symbolic link is ever followed. A new symbolic link
must lead to a place inside: first some `..`, no more than there are directories above it, then plain names. As no
directory on the way is a link itself, and what the names lead through are links that keep the same rule, none leads out.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: The disk is looked at after so much.
_LOOK_BYTES = 16 << 20
_LOOK_FILES = 1000
#: So much is left free on every disk: of its size, and at most.
_LEFT_FREE = 0.05
_LEFT_FREE_BYTES = 1 << 30


class Refused(Exception):
    """It is not done; the text is a sentence for the owner of the task."""


class Room:
    """How much may still be written: what the task's quota allows, and never the last of the disk."""

    def __init__(self, folder: int, limit_bytes: int | None) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._unseen_bytes = _LOOK_BYTES  # look at once
        self._unseen_files = 0

    def take(self, count: int) -> None:
        """So many bytes are about to be written; raises Refused if they may not."""
        self._bytes += count
        self._unseen_bytes += count
        if self._limit_bytes is not None and self._bytes > self._limit_bytes:
            raise Refused(f"it is larger than the {_megabytes(self._limit_bytes)} of disk that the task has")
        if self._unseen_bytes >= _LOOK_BYTES:
            self._look()

    def take_name(self) -> None:
        """A file, directory or link is about to be made; raises Refused if it may not."""
        self._unseen_files += 1
        if self._unseen_files >= _LOOK_FILES:
            self._look()

    def _look(self) -> None:
        disk = os.fstatvfs(self._folder)
        size = disk.f_blocks * disk.f_frsize
        if disk.f_bavail * disk.f_frsize < min(size * _LEFT_FREE, _LEFT_FREE_BYTES):
            raise Refused("the disk is nearly full")
        if disk.f_files and disk.f_favail < disk.f_files * _LEFT_FREE:
            raise Refused("the disk can hold hardly any more files")
        self._unseen_bytes = self._unseen_files = 0


class Tree:
    """All below the open directory `root`."""

    def __init__(self, root: int, room: Room) -> None:
        self._root = root
        self._room = room
        self._parts: list[str] | None = None  #: those of the directory that was used last
        self._folder = -1  #: that directory, open

    def write(self, path: str, mode: int, pieces: Iterable[bytes], mtime_s: float | None = None) -> int:
        """Make a file, in place of one that is there, and the directories above it; returns its size.

        Raises Refused, OSError.
        """
        folder, name = self._place(path)
        self._clear(folder, name, path)
        size = 0
        fd = os.open(name, _NEW, 0o600, dir_fd=folder)
        try:
            for piece in pieces:
                self._room.take(len(piece))
                size += len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(fd, rest) :]
            os.fchmod(fd, mode)
            if mtime_s is not None:
                with contextlib.suppress(OverflowError, ValueError):
                    os.utime(fd, (mtime_s, mtime_s))
        finally:
            os.close(fd)
        return size

    def open(self, path: str) -> int:
        """A file that is there, to read. Raises Refused, OSError."""
        folder, name = self._place(path)
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Refused(f"'{path}' is no regular file")
        return fd

    def folder(self, path: str) -> None:
        """Make a directory, and those above it. Raises Refused, OSError."""
        self._enter(_parts(path))

    def symlink(self, path: str, target: str) -> None:
        """Make a symbolic link. Raises Refused, OSError."""
        depth = len(_parts(path)) - 1
        steps = [step for step in target.split("/") if step not in ("", ".")]
        ups = next((n for n, step in enumerate(steps) if step != ".."), len(steps))
        if target.startswith("/") or ups > depth or ".." in steps[ups:]:
            raise Refused(
                f"the link '{path}' leads to '{target}', which is, or may be, outside of the sandbox"
            )
        folder, name = self._place(path)
        self._clear(folder, name, path)
        os.symlink(target, name, dir_fd=folder)

    def hard_link(self, path: str, target: str) -> None:
        """Give a file that is there a second name. Raises Refused, OSError."""
        fd = os.dup(self._place(target)[0])
        try:
            source = target.rstrip("/").rpartition("/")[2]
            # A symbolic link that came to be in another directory would lead elsewhere.
            if not stat.S_ISREG(os.stat(source, dir_fd=fd, follow_symlinks=False).st_mode):
                raise Refused(f"the link '{path}' leads to '{target}', which is no regular file")
            folder, name = self._place(path)
            self._clear(folder, name, path)
            os.link(source, name, src_dir_fd=fd, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(fd)

    # ── helpers ───────────────────────────────────────────────────────────────────────────────────
    def _place(self, path: str) -> tuple[int, str]:
        """The open directory that `path` is to be in, made if missing, and its name there."""
        *above, name = _parts(path) or [""]
        if not name:
            raise Refused(f"'{path}' is no name of a file")
        return self._enter(above), name

    def _enter(self, parts: list[str]) -> int:
        if parts == self._parts:
            return self._folder
        self._parts = None
        folder = os.dup(self._root)
        try:
            for part in parts:
                self._room.take_name()
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=folder)
                below = self._open_folder(part, folder, "/".join(parts))
                os.close(folder)
                folder = below
        except BaseException:
            os.close(folder)
            raise
        if self._folder >= 0:
            os.close(self._folder)
        self._parts, self._folder = parts, folder
        return folder

    def _open_folder(self, name: str, folder: int, path: str) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise Refused(f"'{path}' leads through the link '{name}', which is not followed") from error
            raise

    def _clear(self, folder: int, name: str, path: str) -> None:
        """Remove what has the name, unless it is a directory."""
        self._room.take_name()
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            raise Refused(f"'{path}' is a directory already")
        os.unlink(name, dir_fd=folder)


def _parts(path: str) -> list[str]:
    """The names in a path, which is taken as relative. Raises Refused if it may lead upwards."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"the path '{path}' leads, or may lead, out of the sandbox")
    if "\0" in path:
        raise Refused(f"the path {path!r} cannot be")
    return parts


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.1f} MB"
