"""Where imports are read: below a root folder, whatever the path, or among kept texts."""

import os

import pytest

from netc.grammar.folder import Folder, Kept, NoText, is_inside
from netc.grammar.source import Source


@pytest.fixture
def home(tmp_path):
    """A root folder with texts, and a secret beside it."""
    root = tmp_path / "root"
    (root / "nets" / "deep").mkdir(parents=True)
    (root / "lib").mkdir()
    (tmp_path / "secret.net").write_text("fn s(x) = x\n")
    (root / "nets" / "main.net").write_text("")
    (root / "lib" / "a.net").write_text("# \N{GREEK SMALL LETTER ETA}\n", encoding="utf-8")
    (root / "nets" / "deep" / "b.net").write_bytes(b"\xef\xbb\xbffn b(x) = x\n")
    (root / "nets" / "broken.net").write_bytes(b"fn \xff")
    return root


def folder(home, name="nets/main.net", root="."):
    os.chdir(home)
    return Folder.of(name, root)


def refused(library, path, importer=None):
    with pytest.raises(NoText) as caught:
        library.find(library.main if importer is None else importer, path)
    return caught.value


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_paths_are_relative_to_the_importing_file(home):
    library = folder(home)
    assert library.main == "nets/main.net"
    found = library.find("nets/main.net", "deep/b.net")
    assert (found.path, found.file) == ("nets/deep/b.net", "nets/deep/b.net")
    assert found.source.name == "nets/deep/b.net"
    assert found.source.text == "fn b(x) = x\n"
    other = library.find(found.file, "../../lib/./a.net")
    assert (other.file, other.source.name) == ("lib/a.net", "lib/a.net")
    assert other.source.text == "# \N{GREEK SMALL LETTER ETA}\n"


def test_the_root_is_the_folder_of_the_file_by_default(home):
    os.chdir(home)
    library = Folder.of("nets/main.net", None)
    assert library.main == "main.net"
    found = library.find("main.net", "deep/b.net")
    assert (found.file, found.source.name) == ("deep/b.net", "nets/deep/b.net")
    assert refused(library, "../lib/a.net").why == "outside"
    assert Folder.of(None, None) is None
    assert Folder.of(None, "lib").find("<source>", "a.net").source.name == "lib/a.net"


@pytest.mark.parametrize(
    "path",
    ["../../secret.net", "/etc/passwd", "../..", "../nets/../../secret.net", "deep/../../../x.net"],
)
def test_nothing_outside_is_read(home, path):
    assert refused(folder(home), path).why == "outside"


def test_absolute_paths_are_refused_even_below_the_root(home):
    assert refused(folder(home), str(home / "lib" / "a.net")).why == "outside"


def test_links_are_followed_inside_only(home, tmp_path):
    (home / "nets" / "out.net").symlink_to(tmp_path / "secret.net")
    (home / "nets" / "up").symlink_to(tmp_path)
    (home / "nets" / "in.net").symlink_to(home / "lib" / "a.net")
    library = folder(home)
    assert "secret.net" in refused(library, "out.net").detail
    assert refused(library, "up/secret.net").why == "outside"
    found = library.find(library.main, "in.net")
    assert (found.path, found.file) == ("nets/in.net", "lib/a.net")


def test_a_root_that_is_a_link(home, tmp_path):
    (tmp_path / "link").symlink_to(home)
    library = Folder.of(str(tmp_path / "link" / "nets" / "main.net"), None)
    assert library.find("main.net", "deep/b.net").file == "deep/b.net"


@pytest.mark.parametrize(
    ("path", "why", "text"),
    [
        ("brokn.net", "missing", "nets/brokn.net"),
        ("none/at/all.net", "missing", "nets/none/at/all.net"),
        ("zero\0.net", "missing", "zero"),
        ("deep", "unreadable", "not a file"),
        (".", "unreadable", "not a file"),
        ("", "unreadable", "not a file"),
        ("broken.net", "unreadable", "not UTF-8 text (byte 3)"),
        ("loop.net", "unreadable", ""),
        ("main.net/x.net", "missing", "main.net/x.net"),
        ("x" * 300 + ".net", "missing", "xxx"),
    ],
)
def test_what_cannot_be_read(home, path, why, text):
    (home / "nets" / "loop.net").symlink_to("loop.net")
    trouble = refused(folder(home), path)
    assert (trouble.why, text in trouble.detail) == (why, True), trouble.detail


def test_a_name_that_resembles_a_file(home):
    assert refused(folder(home), "brokn.net").hint == 'did you mean "broken.net"?'


def test_devices_are_not_read(home):
    os.mkfifo(home / "nets" / "pipe.net")
    assert refused(folder(home), "pipe.net").detail == "it is not a file"


@pytest.mark.parametrize(
    ("name", "root"), [("nets/main.net", "lib"), ("nets/main.net", "none"), (None, "none")]
)
def test_a_root_must_hold_the_file(home, name, root):
    os.chdir(home)
    with pytest.raises(ValueError, match=root):
        Folder.of(name, root)


def test_kept_texts():
    source = Source("run/imports/lib/a.net", "fn a(x) = x")
    kept = Kept("nets/main.net", {"nets/in.net": "lib/a.net"}, {"lib/a.net": source})
    assert kept.find("nets/main.net", "in.net").source is source
    assert kept.find("nets/main.net", "../lib/a.net").file == "lib/a.net"
    assert refused(kept, "b.net").why == "missing"
    assert refused(kept, "../../a.net").why == "outside"


def test_is_inside():
    assert [is_inside(p) for p in ("a", "a/b", "..a", "..", "../a", "/a")] == [
        *(True, True, True),
        *(False, False, False),
    ]
