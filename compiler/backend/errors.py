"""What the backend refuses: a target this machine cannot run, and the compiler's own mistakes."""

from __future__ import annotations


class InternalError(Exception):
    """A mistake of the compiler, never of the user: its stage and the text it worked on."""

    def __init__(self, stage: str, message: str, dump: str = "") -> None:
        super().__init__(f"internal error in {stage}: {message}")
        self.stage = stage
        self.dump = dump


class TargetError(Exception):
    """A target that does not exist or that this machine cannot run."""
