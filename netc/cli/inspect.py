"""`netc check` and `netc ir`: what a text says, and what the compiler makes of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console

from netc.cli.console import print_json
from netc.compiling import library_of, program_of, read_source
from netc.stages import show
from netc.summary import summary_data, summary_table, summary_text

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.compiler.driver import Program


def check(options: Namespace) -> int:
    """Checks a file; prints the table of its layers."""
    model = _program(options).model
    if sys.stdout.isatty():
        Console().print(summary_table(model))
    else:
        print(summary_text(model), end="")
    if options.json:
        print_json(summary_data(model))
    return 0


def ir(options: Namespace) -> int:
    """Prints one stage of one function."""
    print(show(_program(options), options.stage, options.function, options.kernel).rstrip("\n"))
    return 0


def _program(options: Namespace) -> Program:
    source = read_source(options.file)
    library = library_of(options.file, options.root)
    return program_of(source, dict(options.defines), options.precision or "f32", library)
