"""A private folder of files that may vanish at any time: names to bytes, the oldest dropped first.

Invariant: what `read` gives is what some `write` of this user was given for that name, whole.
Every failure (no folder, no space, no right, damage) is a miss or a write that does not happen.
Files are written aside and renamed, so that no process ever sees half of one.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import sha256
from typing import Final

from netc.records import record

VARIABLE: Final = "NETC_CACHE"
LIMIT: Final = 256 * 2**20

_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def folder() -> str | None:
    """Where the cache is: what NETC_CACHE says (`off`: nowhere), or below the user's caches."""
    named = os.environ.get(VARIABLE)
    if named:
        return None if named == "off" else os.path.abspath(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the standard says: pass over a relative one
        home = os.environ.get("HOME", "")
        base = os.path.join(home, ".cache") if os.path.isabs(home) else ""
    return os.path.join(base, "netc") if base else None


@record
class Store:
    """The files of one folder, at most `limit` bytes of them."""

    folder: str
    limit: int = LIMIT

    def read(self, name: str) -> bytes | None:
        """What was written under a name; None when it is not there or not whole."""
        try:
            if not self._is_private():
                return None
            with open(os.open(os.path.join(self.folder, name), _READ), "rb") as file:
                found = os.fstat(file.fileno())
                if not (stat.S_ISREG(found.st_mode) and _is_own(found)):
                    return None
                content = file.read()
        except OSError:
            return None
        payload = content[sha256().digest_size :]
        if content != _sealed(name, payload):
            return None
        with suppress(OSError):  # used: it becomes the youngest
            os.utime(os.path.join(self.folder, name))
        return payload

    def write(self, name: str, payload: bytes) -> None:
        """Keeps bytes under a name, if it can; replaces what was there."""
        content = _sealed(name, payload)
        if len(content) > self.limit:
            return
        path = os.path.join(self.folder, name)
        aside = f"{path}.{os.urandom(8).hex()}"
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            if not self._is_private():
                return
            try:
                with open(os.open(aside, _CREATE, 0o600), "wb") as file:
                    file.write(content)
                os.replace(aside, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(aside)
                raise
            self._drop_oldest()
        except OSError:
            return

    def size(self) -> tuple[int, int]:
        """How many files there are, and their bytes."""
        files = self._files()
        return len(files), sum(size for _, size, _ in files)

    def clear(self) -> None:
        """Removes every file of the cache."""
        for _, _, path in self._files():
            with suppress(OSError):
                os.unlink(path)

    def _is_private(self) -> bool:
        found = os.lstat(self.folder)
        return stat.S_ISDIR(found.st_mode) and _is_own(found)

    def _drop_oldest(self) -> None:
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.limit:
                return
            with suppress(OSError):
                os.unlink(path)
            total -= size

    def _files(self) -> list[tuple[int, int, str]]:
        """Last use, size and path of every file of the cache, of those left half-written too."""
        found = []
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):  # another process may have removed it
                    if _is_ours(entry.name):
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime_ns, status.st_size, entry.path))
        return found


def _is_ours(name: str) -> bool:
    """Whether a file belongs to the cache; no other is ever removed."""
    key, _, part = name.partition(".")
    return len(key) == 64 and bool(part) and not set(key) - set("0123456789abcdef")


def _is_own(status: os.stat_result) -> bool:
    """Whether it belongs to the user who runs this and only that user can change it."""
    user = getattr(os, "geteuid", lambda: status.st_uid)()
    return status.st_uid == user and not status.st_mode & _BY_OTHERS


def _sealed(name: str, payload: bytes) -> bytes:
    """The payload behind the hash of name and payload."""
    return sha256(name.encode() + b"\0" + payload).digest() + payload
