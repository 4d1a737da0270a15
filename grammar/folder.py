"""Where imported texts come from: a folder on disk, or the texts that a run has kept.

Invariant: nothing outside the root folder is read, be it by `..`, an absolute path or a link.
Paths are relative to the root and written with `/`.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from netc.grammar.source import Source
from netc.grammar.suggest import did_you_mean
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class Imported:
    """An imported text: the path that named it, and its file once links are followed."""

    path: str
    file: str
    source: Source


class NoText(Exception):
    """An import that gives no text; `detail` says what is wrong, or where it was looked for."""

    def __init__(
        self, why: Literal["outside", "missing", "unreadable"], detail: str, hint: str = ""
    ) -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail
        self.hint = hint


class Library(Protocol):
    """What imports are read from; `main` is the place of the text that is compiled."""

    @property
    def main(self) -> str: ...

    def find(self, importer: str, path: str) -> Imported:
        """The text that the file `importer` calls `path`; raises NoText."""


@record
class Folder:
    """The files below a folder; `shown` is the folder as reports write it."""

    root: str
    main: str
    shown: str

    @classmethod
    def of(cls, text: str | None, root: str | None) -> Folder | None:
        """The folder of the file `text`, or `root`; None when there is neither.

        Raises ValueError when `root` is no folder or does not hold the file.
        """
        if root is not None and not os.path.isdir(root):
            raise ValueError(f"`{root}` is not a folder")
        if text is None:
            return None if root is None else cls(os.path.realpath(root), "<source>", root)
        home, name = os.path.split(text)
        shown = home if root is None else root
        top, inside = os.path.realpath(shown), os.path.realpath(home)
        if not _below(inside, top):
            raise ValueError(f"`{text}` is not in the folder `{root}`")
        return cls(top, Path(os.path.relpath(inside, top), name).as_posix(), shown)

    def find(self, importer: str, path: str) -> Imported:
        place = resolved(importer, path)
        try:
            real = os.path.realpath(os.path.join(self.root, place))
        except ValueError:  # a zero character
            raise NoText("missing", place) from None
        if not _below(real, self.root):
            raise NoText("outside", f"`{self._shown(place)}` leads to `{real}`")
        file = Path(os.path.relpath(real, self.root)).as_posix()
        return Imported(place, file, Source(self._shown(file), self._text(real, place)))

    def _shown(self, file: str) -> str:
        return os.path.normpath(os.path.join(self.shown, file))

    def _text(self, real: str, place: str) -> str:
        if not os.path.lexists(real):
            raise NoText("missing", self._shown(place), self._similar(real))
        if not os.path.isfile(real):
            raise NoText("unreadable", "it is not a file")
        try:
            return Path(real).read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise NoText("unreadable", f"it is not UTF-8 text (byte {error.start})") from None
        except OSError as error:
            raise NoText("unreadable", (error.strerror or str(error)).lower()) from None

    def _similar(self, real: str) -> str:
        """Advice from the texts beside a file that does not exist."""
        home, name = os.path.split(real)
        try:
            texts = sorted(n for n in os.listdir(home) if n.endswith(".net"))
        except OSError:
            return ""
        found = [f'"{n}"' for n in did_you_mean(name, texts)]
        return f"did you mean {' or '.join(found)}?" if found else ""


@record
class Kept:
    """Texts kept with a run: `files` by file, and the file of each path that named one."""

    main: str
    paths: Mapping[str, str]
    files: Mapping[str, Source]

    def find(self, importer: str, path: str) -> Imported:
        place = resolved(importer, path)
        file = self.paths.get(place, place)
        if file not in self.files:
            raise NoText("missing", place)
        return Imported(place, file, self.files[file])


def resolved(importer: str, path: str) -> str:
    """A path as the file `importer` writes it, seen from the root; raises NoText outside of it."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(importer), path))
    if not is_inside(place):
        raise NoText("outside", f"`{path}` is an absolute path" if path[:1] == "/" else f"`{path}`")
    return place


def is_inside(place: str) -> bool:
    """Whether a path in its shortest form stays below the folder it is relative to."""
    return not posixpath.isabs(place) and place.split("/", maxsplit=1)[0] != ".."


def _below(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root
