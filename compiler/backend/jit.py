"""LLVM IR text to machine code, and machine code into this process.

Invariant: what LLVM refuses is an InternalError that carries the text. No IR passes are run: the
text is final, passes would only cost time. Nor does more than LLVM's first level of code generation
pay: the second takes a tenth longer and gives the same inner loops.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import llvmlite
from llvmlite import binding as llvm

from netc.compiler.backend import perf_map
from netc.compiler.backend.errors import InternalError
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.backend.target import Target


def version() -> str:
    """The release of the code generator."""
    return f"{llvmlite.__version__} {llvm.llvm_version_info}"


def compile_object(text: str, target: Target) -> bytes:
    """The object file of a module; raises InternalError when LLVM refuses the text."""
    return bytes(_machine(target).emit_object(_parse(text, target)))


def assembly(text: str, target: Target) -> str:
    """The assembly of a module; raises InternalError when LLVM refuses the text."""
    return str(_machine(target).emit_assembly(_parse(text, target)))


@record
class Library:
    """Machine code in memory. The code lives as long as this object."""

    engine: llvm.ExecutionEngine

    def address(self, symbol: str) -> int:
        """Where the function or variable `symbol` is."""
        found = int(self.engine.get_function_address(symbol))
        if not found:
            raise InternalError("loading", f"the object has no symbol {symbol}")
        return found


def load(object_file: bytes) -> Library:
    """Places an object file in memory, linked against this process for `memset` and its like."""
    _initialize()
    module = llvm.parse_assembly(f'target triple = "{llvm.get_process_triple()}"')
    engine = llvm.create_mcjit_compiler(
        module, llvm.Target.from_default_triple().create_target_machine()
    )
    try:
        engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
        engine.finalize_object()
    except RuntimeError as error:
        raise InternalError("loading", str(error)) from error
    library = Library(engine)
    if perf_map.wanted():
        perf_map.note(object_file, library.address)
    return library


@cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def _machine(target: Target) -> llvm.TargetMachine:
    _initialize()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=1, reloc="pic", codemodel="small"
    )


def _parse(text: str, target: Target) -> llvm.ModuleRef:
    layout = str(_machine(target).target_data)
    head = f'target datalayout = "{layout}"\ntarget triple = "{target.triple}"\n'
    try:
        module = llvm.parse_assembly(head + text, llvm.create_context())
        module.verify()
    except RuntimeError as error:
        raise InternalError("code generation", str(error), text) from error
    return module
