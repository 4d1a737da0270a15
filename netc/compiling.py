"""From a `.net` text to a `Model`: the compiler's driver meets the runtime here.

Invariant: arguments are checked before anything is read, and the compiler is loaded only when
there is something to compile.
"""

from __future__ import annotations

import os
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from numpy import generic as Scalar

from netc.grammar.folder import Folder, Kept
from netc.grammar.source import Source
from netc.model import Defines, Model, Precision
from netc.runtime.errors import DataError, UsageError
from netc.runtime.threads import cores
from netc.saving import read_run
from netc.settings import checked_seed, checked_threads

if TYPE_CHECKING:
    from netc.compiler.driver import Program
    from netc.grammar.folder import Library


def compile(
    path: str | os.PathLike[str] | None = None,
    *,
    source: str | None = None,
    defines: Defines | None = None,
    precision: Precision = "f32",
    threads: int | None = None,
    seed: int | None = None,
    debug: bool = False,
    lines: bool = False,
    root: str | os.PathLike[str] | None = None,
) -> Model:
    """The model in a `.net` file, or in the text `source`.

    `defines` overrides `const` values, `seed` the seed of the train block. Imports stay below the
    folder `root`, by default that of the file; a text `source` imports nothing without it.
    `threads` bounds how many threads a call may use, by default the cores of this process; no
    result depends on it. With `debug` every named value of a call can be read (`Model.value`), and
    the first NaN, infinity or index out of range is a DebugError that names its origin; numbers
    are those of any other model, bit for bit. With `lines` the machine code has line tables: gdb
    breaks on lines of the text.

    Raises CompileError for a text that does not compile, DataError for a file that is not text,
    UsageError for arguments out of range.
    """
    if (path is None) == (source is None):
        raise UsageError("compile takes either a path or `source=`")
    name = None if path is None else os.fspath(path)
    text = Source("<source>", source or "") if name is None else read_source(name)
    library = library_of(name, None if root is None else os.fspath(root))
    given = defines or {}
    return compiled(
        text,
        given,
        precision,
        threads=threads,
        seed=seed,
        library=library,
        debug=debug,
        lines=lines,
    )


def load(path: str | os.PathLike[str], *, threads: int | None = None, debug: bool = False) -> Model:
    """The model saved in a run folder, compiled from its text as it was trained."""
    run = read_run(path)
    made = run.description
    text = Source(str(run.text_path), run.text)
    files = {name: Source(str(run.imported(name)), kept) for name, kept in run.imports.items()}
    library = Kept(made.main, made.imports, files)
    model = compiled(
        text,
        made.defines,
        made.precision,
        threads=threads,
        seed=made.seed,
        library=library,
        debug=debug,
    )
    model.take(run)
    return model


def read_source(path: str) -> Source:
    """The text of a `.net` file."""
    raw = Path(path).read_bytes()
    try:
        return Source(path, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"`{path}` is not UTF-8 text (byte {error.start})") from None


def library_of(path: str | None, root: str | None) -> Library | None:
    """Where the imports of a file are read, or those of a text when there is a root."""
    try:
        return Folder.of(path, root)
    except ValueError as error:
        raise UsageError(f"root: {error}") from None


def compiled(
    source: Source,
    defines: Defines,
    precision: str,
    *,
    threads: int | None,
    seed: int | None,
    library: Library | None = None,
    debug: bool = False,
    lines: bool = False,
) -> Model:
    """The model of a text, its arguments checked."""
    count = cores() if threads is None else checked_threads(threads)
    seed = None if seed is None else checked_seed(seed)
    program = program_of(source, defines, precision, library)
    if lines:
        program = program.with_lines()
    if debug:
        from netc.debugging import DebugModel  # noqa: PLC0415 - not every process debugs

        return DebugModel(program, defines=defines, seed=seed, threads=count)
    return Model(program, defines=defines, seed=seed, threads=count)


def program_of(
    source: Source, defines: Defines, precision: str, library: Library | None = None
) -> Program:
    """The checked program of a text; nothing is native yet."""
    from netc.compiler import driver  # noqa: PLC0415 - the compiler takes a while to load

    if precision not in ("f32", "f64"):
        raise UsageError(f'`precision` must be "f32" or "f64", found {precision!r}')
    kind: Precision = "f32" if precision == "f32" else "f64"
    constants = _constants(defines)
    return driver.compile_text(source, precision=kind, defines=constants, library=library)


def _constants(defines: Defines) -> Defines:
    """The values for `const`s as plain Python; numbers of NumPy are numbers."""
    found: dict[str, int | float | bool | str] = {}
    for name, given in defines.items():
        value = given.item() if isinstance(given, Scalar) else given
        if not isinstance(value, int | float | bool | str) or (
            isinstance(value, float) and not isfinite(value)
        ):
            what = "a finite number, true, false or text"
            raise UsageError(f"the constant `{name}` takes {what}, found {value!r}")
        found[name] = value
    return found
