"""Mistakes in what a file imports."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class ImportMissing(Diagnostic):
    """The path of an `import` is relative to the file it stands in."""

    slug: ClassVar[str] = "import-missing"
    title: ClassVar[str] = "there is no file `{path}`"
    label: ClassVar[str] = "an import is relative to the file it stands in"
    help: ClassVar[str] = "{hint}"

    path: str
    hint: str = ""


class ImportUnreadable(Diagnostic):
    """An imported file is UTF-8 text."""

    slug: ClassVar[str] = "import-unreadable"
    title: ClassVar[str] = "the file cannot be read: {reason}"
    label: ClassVar[str] = "imported here"

    reason: str


class ImportOutside(Diagnostic):
    """Imports stay below the root folder: that of the compiled file, or the one given as root.

    Absolute paths, `..` and links that lead out of it are refused.
    """

    slug: ClassVar[str] = "import-outside-root"
    title: ClassVar[str] = "the import leads out of the root folder"
    label: ClassVar[str] = "{reason}"
    help: ClassVar[str] = "`--root FOLDER` or `root=` names a folder that holds all files"

    reason: str


class ImportWithoutRoot(Diagnostic):
    """A text that comes from no file has no folder to import from, unless one is given as root."""

    slug: ClassVar[str] = "import-without-root"
    title: ClassVar[str] = "this text has no folder to import from"
    label: ClassVar[str] = "relative to nothing"
    help: ClassVar[str] = 'compile a file, or name the folder: `netc.compile(source=…, root=".")`'


class ImportCycle(Diagnostic):
    """Files that import each other in a circle have no order to be read in."""

    slug: ClassVar[str] = "import-cycle"
    title: ClassVar[str] = "the import goes in a circle"
    label: ClassVar[str] = "{cycle}"
    help: ClassVar[str] = "move what both need to a file of its own"

    cycle: str


class ImportOfModel(Diagnostic):
    """Libraries are imported: files with definitions and constants, without `net` and `train`."""

    slug: ClassVar[str] = "import-of-a-model"
    title: ClassVar[str] = "`{file}` has a `{block}` block: it is no library"
    label: ClassVar[str] = "imported here"
    help: ClassVar[str] = "move its definitions to a file of their own and import that from both"

    file: str
    block: str


class ImportAmbiguous(Diagnostic):
    """A file does not import two things of one name, unless it defines the name itself."""

    slug: ClassVar[str] = "ambiguous-import"
    title: ClassVar[str] = "two imports define {names}"
    label: ClassVar[str] = "the second one"
    help: ClassVar[str] = "rename one, or import only one of the files"

    names: str
