"""The folder of the cache: private, bounded, never half-written, never an error."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from netc.compiler.cache import store as stores
from netc.compiler.cache.store import Store, folder

A, B, C = (f"{letter * 64}.step" for letter in "abc")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "cache"))


def modes(store):
    return [p.stat().st_mode & 0o777 for p in Path(store.folder).iterdir()]


def test_what_was_written_is_read(store):
    store.write(A, b"some code")
    store.write(B, b"")
    assert store.read(A) == b"some code"
    assert store.read(B) == b""
    assert store.read(C) is None


def test_folder_and_files_are_the_users_alone(store):
    mask = os.umask(0)
    try:
        store.write(A, b"code")
    finally:
        os.umask(mask)
    assert Path(store.folder).stat().st_mode & 0o777 == 0o700
    assert modes(store) == [0o600]


def test_every_damage_is_a_miss_and_is_replaced(store):
    payload = bytes(range(256))
    store.write(A, payload)
    path = Path(store.folder, A)
    whole = path.read_bytes()
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        path.write_bytes(broken)
        assert store.read(A) is None, place
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert store.read(A) is None, length
    path.write_bytes(whole + b"\0")
    assert store.read(A) is None
    store.write(A, payload)
    assert store.read(A) == payload


def test_a_file_under_another_name_is_a_miss(store):
    store.write(A, b"code")
    Path(store.folder, A).rename(Path(store.folder, B))
    assert store.read(B) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_change_is_a_miss(store, mode):
    store.write(A, b"code")
    Path(store.folder, A).chmod(mode)
    assert store.read(A) is None


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_change_is_not_used(store, mode):
    store.write(A, b"code")
    Path(store.folder).chmod(mode)
    assert store.read(A) is None
    store.write(B, b"code")
    assert not Path(store.folder, B).exists()


def test_a_folder_of_another_user_is_not_used(store, monkeypatch):
    store.write(A, b"code")
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(store.folder).st_uid + 1)
    assert store.read(A) is None
    store.write(B, b"code")
    assert not Path(store.folder, B).exists()


def test_links_are_not_followed(store, tmp_path):
    store.write(A, b"code")
    path = Path(store.folder, A)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert store.read(A) is None
    linked = tmp_path / "linked"
    linked.symlink_to(store.folder)
    Store(str(linked)).write(B, b"code")
    assert not Path(store.folder, B).exists()


def test_what_is_no_file_is_a_miss(store):
    store.write(B, b"code")
    Path(store.folder, A).mkdir()
    store.write(A, b"code")
    assert store.read(A) is None
    os.mkfifo(Path(store.folder, C))
    assert store.read(C) is None


def test_the_oldest_are_dropped(tmp_path):
    store = Store(str(tmp_path), limit=3 * (32 + 10))
    names = [f"{i:064x}.infer" for i in range(4)]
    for age, name in enumerate(names[:3]):
        store.write(name, b"0123456789")
        os.utime(tmp_path / name, ns=(age, age))
    assert store.read(names[0]) is not None  # used just now
    store.write(names[3], b"0123456789")
    assert [n for n in names if store.read(n)] == [names[0], names[2], names[3]]
    assert store.size() == (3, 3 * 42)


def test_what_is_too_large_is_not_kept(tmp_path):
    store = Store(str(tmp_path), limit=100)
    store.write(A, b"small")
    store.write(B, bytes(200))
    assert store.read(A) == b"small"
    assert store.size()[0] == 1


def test_files_of_others_stay(tmp_path):
    (tmp_path / "thesis.tex").write_bytes(bytes(500))
    store = Store(str(tmp_path), limit=100)
    store.write(A, b"code")
    store.clear()
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_no_space_is_no_error(store, monkeypatch):
    class Full:
        def __init__(self, file, mode):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            os.close(self.file)

        def write(self, content):
            os.write(self.file, content[:5])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "open", Full, raising=False)
    store.write(A, b"code")
    monkeypatch.undo()
    assert store.read(A) is None
    assert list(Path(store.folder).iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none/cache"])
def test_no_place_is_no_error(tmp_path, place):
    (tmp_path / "file").write_text("")
    store = Store(str(tmp_path / place))
    store.write(A, b"code")
    assert store.read(A) is None
    assert store.size() == (0, 0)


def test_a_read_only_folder_is_read(store, monkeypatch):
    store.write(A, b"code")

    def refuse(*_, **__):
        raise PermissionError(13, "read-only")

    for name in ("utime", "replace", "makedirs"):
        monkeypatch.setattr(os, name, refuse)
    assert store.read(A) == b"code"
    store.write(B, b"code")
    assert store.read(B) is None
    assert store.size()[0] == 1


def test_where_the_cache_is(monkeypatch):
    for name in ("NETC_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    assert folder() is None
    monkeypatch.setenv("HOME", "/home/ada")
    assert folder() == "/home/ada/.cache/netc"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert folder() == "/home/ada/.cache/netc"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ada")
    assert folder() == "/var/cache/ada/netc"
    monkeypatch.setenv("NETC_CACHE", "/tmp/here")
    assert folder() == "/tmp/here"
    monkeypatch.setenv("NETC_CACHE", "off")
    assert folder() is None


def write_and_read(place, number):
    """How often a reader beside writers found something, and that it was always whole."""
    store, found = Store(place), 0
    for _ in range(200):
        store.write(A, bytes([number]) * 50_000)
        content = store.read(A)
        if content is not None:
            assert len(content) == 50_000
            assert len(set(content)) == 1
            found += 1
    return found


def test_processes_side_by_side(store):
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(write_and_read, [store.folder] * 3, range(3)))
    assert found == [200] * 3
    assert [p.name for p in Path(store.folder).iterdir()] == [A]
