"""What one core can do at most in f32: a loop of multiply-adds on registers, and nothing else."""

from __future__ import annotations

from benchmarks.measure import Way, interleaved
from netc.compiler.backend.probes import probes
from netc.compiler.backend.target import host_target


def ceiling(seconds: float) -> float:
    """Operations a second, the best of many samples; a multiply-add counts as two."""
    found = probes(host_target(), "f32", 0)

    def run(times: int) -> None:
        for _ in range(times):
            found.multiply_add()

    return found.operations / interleaved({"loop": Way(run)}, seconds)["loop"].least
