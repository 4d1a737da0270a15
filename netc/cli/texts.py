"""`netc fmt`, `netc doc` and `netc explain`: texts about texts."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from inspect import cleandoc
from pathlib import Path
from textwrap import fill
from typing import IO, TYPE_CHECKING

from netc.cli.console import note, write_whole
from netc.compiler.elaborate.primitives import PRIMITIVES
from netc.compiling import read_source
from netc.grammar.diagnostics import KINDS
from netc.grammar.format import format_source
from netc.grammar.parser import parse
from netc.grammar.source import Source
from netc.grammar.tree import Definition
from netc.runtime.errors import DataError, suggestion

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from netc.compiler.elaborate.values import Primitive


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
    """Prints a definition of the prelude, or the names of all."""
    known = _prelude()
    if options.name is None:
        for kind in ("layer", "fn", "init", "optimizer"):
            names = sorted(n for n, d in known.items() if d.kind == kind)
            print(_list(kind, names))
        print(_list("primitive", sorted(PRIMITIVES)))
        return 0
    if options.name in PRIMITIVES:
        print(_primitive(PRIMITIVES[options.name]))
        return 0
    if options.name not in known:
        message = f"neither the prelude nor the compiler has `{options.name}`"
        raise DataError(message, suggestion(options.name, [*known, *PRIMITIVES]))
    found = known[options.name]
    if found.doc:
        print(f"{found.doc}\n")
    print(found.span.text)
    return 0


def explain(options: Namespace) -> int:
    """Prints what an error code means."""
    import_module("netc.compiler.driver")  # every kind of mistake declares itself on import
    if options.code is None:
        print("\n".join(sorted(KINDS)))
        return 0
    if options.code not in KINDS:
        raise DataError(f"there is no error code `{options.code}`", suggestion(options.code, KINDS))
    print(f"error[{options.code}]\n\n{cleandoc(KINDS[options.code].__doc__ or '')}")
    return 0


def _prelude() -> dict[str, Definition]:
    """Every definition of the prelude, by name."""
    found: dict[str, Definition] = {}
    for entry in files("netc.grammar").joinpath("prelude").iterdir():
        if entry.name.endswith(".net"):
            tree = parse(Source(f"prelude/{entry.name}", entry.read_text(encoding="utf-8")))
            found |= {d.name.name: d for d in tree.items if isinstance(d, Definition)}
    return found


def _list(kind: str, names: list[str]) -> str:
    return fill(" ".join(names), 100, initial_indent=f"{kind}: ", subsequent_indent="  ")


def _primitive(found: Primitive) -> str:
    """What a primitive of the compiler does, and its header."""
    parameters = [f"{n}?" if n in found.defaults else n for n in found.parameters]
    if found.rest:
        parameters.append("…")
    return f"{found.doc}\n\nprimitive {found.name}({', '.join(parameters)})"


def _writer(text: str) -> Callable[[IO[bytes]], None]:
    def write(file: IO[bytes]) -> None:
        file.write(text.encode())

    return write
