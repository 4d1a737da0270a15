"""The compiler: syntax tree to graph IR, derivatives, passes, plan, kernels, LLVM, native code."""
