"""`netc check` and `netc ir`: what a text says, and what the compiler makes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from netc import stages
from netc.cli.console import note, note_timings, print_json
from netc.cli.cost import WIDTH, data, tables
from netc.compiling import library_of, program_of, read_source
from netc.cost import cost
from netc.runtime.errors import UsageError
from netc.settings import options_of
from netc.summary import summary_data, summary_table, summary_text

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.compiler.driver import Program


def check(options: Namespace) -> int:
    """Checks a file; prints the table of its layers, or what its lines cost."""
    if not options.cost and (options.function or options.batch):
        raise UsageError("--function and --batch belong to --cost")
    program = program_for(options)
    if options.cost:
        return _cost(program, options)
    model = program.model
    if sys.stdout.isatty():
        Console().print(summary_table(model))
    else:
        print(summary_text(model), end="")
    if options.timings:
        note_timings(program.timings)
    if options.json:
        print_json(summary_data(model))
    return 0


def _cost(program: Program, options: Namespace) -> int:
    samples = options.batch or options_of(program.settings).batch
    found = cost(program, options.function, samples)
    for table in tables(found):
        Console(
            width=None if sys.stdout.isatty() else WIDTH, no_color=not sys.stdout.isatty()
        ).print(table)
    if options.timings:
        note_timings(program.timings)
    if options.json:
        print_json(data(found))
    return 0


def ir(options: Namespace) -> int:
    """Prints one stage of one function, what a pass did or where a node comes from.

    Or writes the object file of a function.
    """
    program, function = program_for(options), options.function
    if options.dump_after is not None:
        text = stages.after(program, function, options.dump_after)
    elif options.diff is not None:
        text = stages.difference(program, function, options.diff)
        if not text:
            note(f"`{options.diff}` changes nothing in `{function}`")
            return 0
    elif options.why is not None:
        text = stages.why(program, function, options.stage or "simplified", options.why)
    elif options.object is not None:
        Path(options.object).write_bytes(stages.object_file(program, function))
        return 0
    elif options.stage is None:
        raise UsageError("pass --stage, --dump-after, --diff, --object or --why")
    else:
        text = stages.show(program, options.stage, function, options.kernel)
    print(text.rstrip("\n"))
    return 0


def program_for(options: Namespace) -> Program:
    """The checked program of the file that a command names."""
    source = read_source(options.file)
    library = library_of(options.file, options.root)
    return program_of(source, dict(options.defines), options.precision or "f32", library)
