"""From syntax tree to checked model; `elaborate` is the whole interface."""

from netc.compiler.elaborate.program import elaborate

__all__ = ["elaborate"]
