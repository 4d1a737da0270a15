"""`netc explore`: every stage of a program on one page of HTML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netc.cli.console import write_whole
from netc.compiling import library_of, program_of, read_source
from netc.explore.page import FIRST, page
from netc.settings import options_of
from netc.stages import need

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import IO

    from netc.compiler.program import FunctionName, Manifest


def explore(options: Namespace) -> int:
    """Writes the page of a file."""
    source = read_source(options.file)
    library = library_of(options.file, options.root)
    program = program_of(source, dict(options.defines), options.precision or "f32", library)
    samples = options.batch or options_of(program.settings).batch
    functions = _functions(options.function, program.manifest, samples)
    seconds = options.seconds if options.profile else None
    text = page(program, samples, functions, seconds).encode()
    write_whole(Path(options.output), _writer(text))
    size = f"{len(text) / 1024:,.0f} KiB"
    print(f"{options.output}: {', '.join(functions)}; {size}", file=sys.stdout)
    return 0


def _functions(
    asked: list[FunctionName], manifest: Manifest, samples: int
) -> tuple[FunctionName, ...]:
    """The functions that were asked for, else the usual ones; few samples have their own."""
    for name in asked:
        need(manifest, name)
    usual = [name for name in FIRST if name in manifest.functions]
    found = asked or usual or list(manifest.functions)[:1]
    few = samples <= manifest.inference.few
    return tuple(dict.fromkeys("infer_one" if few and f == "infer" else f for f in found))


def _writer(text: bytes) -> Callable[[IO[bytes]], None]:
    def write(file: IO[bytes]) -> None:
        file.write(text)

    return write
