"""From kernels to machine code: LLVM IR as text, vector functions, targets, the JIT.

Invariant: nothing outside this package imports llvmlite.
"""
