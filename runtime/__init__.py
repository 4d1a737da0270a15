"""Running compiled programs: arrays, calls, the training loop, data, checkpoints.

Of the compiler this package knows `netc.compiler.program` only: plain data.
"""
