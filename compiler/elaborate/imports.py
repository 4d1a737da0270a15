"""Imports: the texts below a text, read and parsed, each before those that import it.

Invariant: a file is read once, however it is reached; every mistake has the place of the `import`
that meets it, or its own place in the text imported.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netc.compiler.elaborate.import_mistakes import (
    ImportAmbiguous,
    ImportCycle,
    ImportMissing,
    ImportOfModel,
    ImportOutside,
    ImportUnreadable,
    ImportWithoutRoot,
)
from netc.compiler.elaborate.modules import FileModule, file_module
from netc.grammar import tree
from netc.grammar.diagnostics import CompileError, Related
from netc.grammar.folder import NoText
from netc.grammar.parser import parse
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netc.compiler.elaborate.values import Known
    from netc.grammar.diagnostics import Diagnostic
    from netc.grammar.folder import Imported, Library
    from netc.grammar.source import Source


@record
class Unit:
    """One text with what it means."""

    tree: tree.File
    module: FileModule


@dataclass(slots=True)
class Linked:
    """The compiled text and its libraries, those imported first."""

    main: Unit
    libraries: tuple[Unit, ...]
    imported: tuple[Imported, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        return (self.main, *self.libraries)

    def definitions(self) -> dict[str, tree.Definition]:
        """What the compiled text defines and imports, by name."""
        seen = (self.main.module, *self.main.module.imports)
        return {
            n: d for module in reversed(seen) for n in module.names() if (d := module.definition(n))
        }

    def texts(self) -> tuple[Source, ...]:
        """All texts of the user's, the compiled one first."""
        return tuple(unit.tree.source for unit in self.units)


def linked(
    file: tree.File, library: Library | None, defines: Mapping[str, Known]
) -> tuple[Linked, list[Diagnostic]]:
    """The program of a text; `defines` replace the values of its own constants.

    Raises:
        CompileError: an import fails; it holds every such mistake.
    """
    loader = _Loader(file, library)
    loader.run()
    if loader.reports:
        raise CompileError(tuple(loader.reports))
    reports: list[Diagnostic] = []
    built: dict[str, FileModule] = {}
    for name in loader.order:
        found = loader.trees[name]
        direct: dict[str, tree.Import] = {}
        for item, target in loader.direct[name]:
            direct.setdefault(target, item)
        overrides = defines if name == loader.main else {}
        module = file_module(found, overrides, tuple(built[target] for target in direct))
        reports += _ambiguous(module, [(direct[target], built[target]) for target in direct])
        built[name] = module
    units = {name: Unit(loader.trees[name], built[name]) for name in loader.order}
    main = units.pop(loader.main)
    return Linked(main, tuple(units.values()), tuple(loader.imported.values())), reports


@dataclass(slots=True)
class _Loader:
    """Depth-first over the imports, without recursion; `order` has what is imported first."""

    file: tree.File
    library: Library | None
    main: str = ""
    trees: dict[str, tree.File] = field(default_factory=dict)
    direct: dict[str, list[tuple[tree.Import, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    imported: dict[str, Imported] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    reports: list[Diagnostic] = field(default_factory=list)

    def run(self) -> None:
        self.main = "" if self.library is None else self.library.main
        self.trees[self.main] = self.file
        trail = {self.main: _imports(self.file)}
        while trail:
            name, items = next(reversed(trail.items()))
            item = next(items, None)
            if item is None:
                self.order.append(name)
                del trail[name]
            elif (target := self._target(name, item, list(trail))) is not None:
                trail[target] = _imports(self.trees[target])

    def _target(self, name: str, item: tree.Import, trail: list[str]) -> str | None:
        """The file of an import, if it is to be read next."""
        found = self._found(name, item)
        if found is None:
            return None
        file = found.file
        self.direct[name].append((item, file))
        if file in trail:
            circle = [*trail[trail.index(file) :], file]
            through = " → ".join(f"`{self.trees[n].source.name}`" for n in circle)
            self.reports.append(ImportCycle(span=item.path.span, cycle=through))
            return None
        self.imported[found.path] = found
        if file in self.trees:
            return None
        try:
            self.trees[file] = parse(found.source)
        except CompileError as error:
            here = Related(item.path.span, "imported here")
            self.reports += [replace(d, related=(*d.related, here)) for d in error.diagnostics]
            return None
        self.reports += _of_a_model(self.trees[file], item)
        return file

    def _found(self, name: str, item: tree.Import) -> Imported | None:
        span = item.path.span
        if self.library is None:
            self.reports.append(ImportWithoutRoot(span=span))
            return None
        try:
            return self.library.find(name, item.path.value)
        except NoText as trouble:
            match trouble.why:
                case "missing":
                    report: Diagnostic = ImportMissing(
                        span=span, path=trouble.detail, hint=trouble.hint
                    )
                case "unreadable":
                    report = ImportUnreadable(span=span, reason=trouble.detail)
                case "outside":
                    report = ImportOutside(span=span, reason=trouble.detail)
            self.reports.append(report)
            return None


def _imports(file: tree.File) -> Iterator[tree.Import]:
    return (item for item in file.items if isinstance(item, tree.Import))


def _of_a_model(file: tree.File, item: tree.Import) -> Iterator[Diagnostic]:
    """A library has neither net nor train block."""
    for part in file.items:
        if isinstance(part, tree.Net | tree.Train):
            block = "net" if isinstance(part, tree.Net) else "train"
            start = replace(part.span, end=part.span.start + len(block))
            place = Related(start, f"the `{block}` block")
            name = file.source.name
            yield ImportOfModel(span=item.path.span, related=(place,), file=name, block=block)
            return


def _ambiguous(
    module: FileModule, imports: list[tuple[tree.Import, FileModule]]
) -> Iterator[Diagnostic]:
    """Names that two imports give and the text does not define itself."""
    seen: dict[str, tree.Ident] = {name: item.name for name, item in module.items()}
    own = set(seen)
    for item, library in imports:
        twice = [
            (seen[name], part.name)
            for name, part in library.items()
            if name in seen and name not in own
        ]
        for name, part in library.items():
            seen.setdefault(name, part.name)
        if twice:
            first, second = twice[0]
            places = Related(first.span, "defined here"), Related(second.span, "and here")
            names = ", ".join(f"`{ident.name}`" for ident, _ in twice)
            yield ImportAmbiguous(span=item.path.span, related=places, names=names)
