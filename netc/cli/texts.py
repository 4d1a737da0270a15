"""`netc fmt`, `netc doc` and `netc explain`: texts about texts."""

from __future__ import annotations

from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import IO, TYPE_CHECKING

from netc.cli.console import note, write_whole
from netc.cli.library import catalogue, page, prelude
from netc.compiler.elaborate.imports import linked
from netc.compiler.elaborate.primitives import PRIMITIVES
from netc.compiling import library_of, read_source
from netc.explained import explanations, show
from netc.grammar.diagnostics import CompileError
from netc.grammar.format import format_source
from netc.grammar.parser import parse
from netc.runtime.errors import DataError, suggestion

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from netc.grammar.tree import Definition


def fmt(options: Namespace) -> int:
    """Prints, rewrites or checks the canonical form of files."""
    changed = False
    for name in options.files:
        source = read_source(name)
        text = format_source(source)
        if not (options.write or options.check):
            print(text, end="")
        elif text != source.text:
            changed = True
            note(f"{'rewrote' if options.write else 'would rewrite'} {name}")
            if options.write:
                write_whole(Path(name), _writer(text))
    return 1 if options.check and changed else 0


def doc(options: Namespace) -> int:
    """Prints a definition of the prelude or of a file, or the names of all by file."""
    own = {} if options.file is None else _seen_from(options)
    known = {**catalogue(), **own}
    if options.name is None:
        print("\n\n".join(_index(own)))
        return 0
    if options.name not in known:
        file = "" if options.file is None else f"`{options.file}`, its imports, "
        message = f"neither {file}the prelude nor the compiler has `{options.name}`"
        raise DataError(message, suggestion(options.name, known))
    print(page(known[options.name]))
    return 0


def explain(options: Namespace) -> int:
    """Prints what an error code means, with a wrong and a right example; without one, all codes."""
    found = explanations()
    if options.code is None:
        print("\n".join(found))
        return 0
    if options.code not in found:
        raise DataError(f"there is no error code `{options.code}`", suggestion(options.code, found))
    print(show(found[options.code]))
    return 0


def _seen_from(options: Namespace) -> dict[str, Definition]:
    """The definitions of a file and of what it imports."""
    library = library_of(options.file, options.root)
    program, reports = linked(parse(read_source(options.file)), library, {})
    if reports:
        raise CompileError(tuple(reports))
    return program.definitions()


def _index(own: dict[str, Definition]) -> list[str]:
    """The names of every file, below what heads it."""
    by_file: dict[str, list[str]] = {}
    for name, definition in own.items():
        by_file.setdefault(definition.span.source.name, []).append(name)
    for room in prelude():
        by_file[f"prelude/{room.name}.net"] = [d.name.name for d in room.definitions]
    by_file["primitives, built into the compiler"] = list(PRIMITIVES)
    return [_names(file, names) for file, names in by_file.items()]


def _names(title: str, names: list[str]) -> str:
    width = min(get_terminal_size().columns, 100)
    listed = fill("  ".join(names), width, initial_indent="  ", subsequent_indent="  ")
    return f"{title}\n{listed}"


def _writer(text: str) -> Callable[[IO[bytes]], None]:
    def write(file: IO[bytes]) -> None:
        file.write(text.encode())

    return write
