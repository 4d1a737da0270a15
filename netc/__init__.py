"""netc compiles network specifications (`.net`) to native training and inference code.

Importing this package loads nothing else; every public name loads what it needs at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netc.compiling import compile, load
    from netc.grammar.diagnostics import CompileError
    from netc.graphs import run_graph
    from netc.model import Model
    from netc.runtime.errors import DataError, DebugError, UsageError
    from netc.runtime.history import History

__version__ = "0.1.0"

__all__ = [
    "CompileError",
    "DataError",
    "DebugError",
    "History",
    "Model",
    "UsageError",
    "__version__",
    "compile",
    "load",
    "run_graph",
]

_HOME: Final = {
    "CompileError": "netc.grammar.diagnostics",
    "DataError": "netc.runtime.errors",
    "DebugError": "netc.runtime.errors",
    "History": "netc.runtime.history",
    "Model": "netc.model",
    "UsageError": "netc.runtime.errors",
    "compile": "netc.compiling",
    "load": "netc.compiling",
    "run_graph": "netc.graphs",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module `netc` has no attribute `{name}`")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
