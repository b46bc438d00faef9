"""A durable file of JSON lines: locked while open, appended to with fsync, its torn last line cut off.

Knows nothing of what the lines mean beyond the first one's magic beginning, which keeps it off other people's files.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import warnings
from pathlib import Path
from typing import Any

from winnow.runs.encoding import line
from winnow.values.errors import InputError, WinnowError


class JournalWarning(UserWarning):
    """Something about a journal that is no error: its last line was torn and has been cut off."""


class LineFile:
    """The file at ``path``, opened, locked and read; created when there is none.

    The lock goes with the process that holds it, however it ends.

    Parameters
    ----------
    magic : what the first line begins with; a file that begins otherwise is left alone.

    Raises
    ------
    InputError
        When it cannot be opened, is in use (says by whom), begins with something else, or is damaged before its last line.
    """

    def __init__(self, path: Path, *, magic: bytes) -> None:
        self.path = path
        self._file: int | None = _open(path)
        self.rows: list[dict[str, Any]]
        try:
            self.rows = self._load(magic)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file. Closing twice is fine."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def append(self, row: dict[str, Any]) -> None:
        """Write one line; it is on disk when this returns.

        Raises
        ------
        WinnowError
            When the disk does not take it; the file is left as it was before.
        """
        file = self._opened()
        before = os.lseek(file, 0, os.SEEK_END)
        try:
            rest = memoryview(line(row) + b"\n")
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError as error:
            os.ftruncate(file, before)
            raise WinnowError(
                f"{self.path}: cannot write: {error.strerror}; everything answered before is kept"
            ) from error
        if before == 0:
            _sync_directory(self.path.parent)

    def damaged(self, number: int, why: str) -> InputError:
        """The error to raise about line ``number``, the first being 1."""
        return InputError(
            f"the journal is damaged: {why}",
            where=f"{self.path}:{number}",
            remedy="restore it from a copy, or delete this line and all after it",
        )

    def _opened(self) -> int:
        if self._file is None:
            raise WinnowError(f"{self.path}: the journal is closed")
        return self._file

    def _load(self, magic: bytes) -> list[dict[str, Any]]:
        data = _read(self._opened())
        if not data.startswith(magic[: len(data)]):
            raise InputError("is no journal", where=str(self.path), remedy="give the journal a file of its own")
        size = data.rfind(b"\n") + 1
        lines = data[:size].split(b"\n")[:-1]
        rows: list[dict[str, Any]] = []
        for number, raw in enumerate(lines, 1):
            try:
                rows.append(json.loads(raw))
            except ValueError as error:
                if number == 1 or number < len(lines):
                    raise self.damaged(number, f"not JSON, {error}") from None
                size -= len(raw) + 1
        if size < len(data):
            self._cut(size, len(data) - size)
        return rows

    def _cut(self, size: int, lost: int) -> None:
        file = self._opened()
        os.ftruncate(file, size)
        os.fsync(file)
        warnings.warn(
            f"{self.path}: the last line was torn ({lost} bytes, a reply that no run has seen) and is cut off",
            JournalWarning,
            stacklevel=5,
        )


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}", where=str(path)) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = _holder(file)
        os.close(file)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise InputError(f"cannot be locked: {error.strerror}", where=str(path)) from None
        raise InputError(
            f"is in use by {holder}", where=str(path), remedy="wait for it to end, or give another journal"
        ) from None
    return file


def _holder(file: int) -> str:
    """Who holds the lock, in words; Linux tells, other systems do not."""
    inode = os.fstat(file).st_ino
    try:
        for row in Path("/proc/locks").read_text().splitlines():
            words = row.split()
            if "FLOCK" in words and "->" not in words and words[-3].endswith(f":{inode}"):
                return "this process" if words[-4] == str(os.getpid()) else f"process {words[-4]}"
    except (OSError, IndexError):
        pass
    return "another process"


def _read(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    parts = []
    while part := os.read(file, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
