"""The `netc` command: runs a subcommand and turns every user's mistake into a report.

Invariant: exit status 0 for success, 1 for a reported mistake, 2 for wrong usage, 130 after Ctrl-C;
no traceback for a mistake of the user's.
"""

from __future__ import annotations

import os
import sys
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from netc.cli.parser import parse_arguments
from netc.runtime.errors import DataError, DebugError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status."""
    try:
        options = parse_arguments(arguments)
        status: int = options.run(options)
        return status
    except (DataError, DebugError) as error:
        return _report(error, 1)
    except UsageError as error:
        return _report(error, 2)
    except BrokenPipeError:
        # the reader of our output has left; a second failure at exit must not be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"`{error.filename}`: " if error.filename else ""
        return _report(f"{place}{error.strerror or error}", 1)
    except MemoryError as error:
        return _report(f"out of memory: {error}" if str(error) else "out of memory", 1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        from netc.grammar.diagnostics import CompileError  # noqa: PLC0415 - not for `--help`

        if isinstance(error, CompileError):
            print(error, file=sys.stderr)
            return 1
        return _internal(error)


def _internal(error: Exception) -> int:
    """A mistake of the compiler: its stage, and a file with the text it worked on."""
    from netc.compiler.backend.errors import InternalError  # noqa: PLC0415 - loads the compiler

    if not isinstance(error, InternalError):
        raise error
    with NamedTemporaryFile("w", prefix="netc-", suffix=".txt", delete=False) as dump:
        dump.write(error.dump)
    help_ = "this is a mistake of netc, not of your text: please report it with that file"
    return _report(f"{error}\ndump: {dump.name}\nhelp: {help_}", 1)


def _report(message: object, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
