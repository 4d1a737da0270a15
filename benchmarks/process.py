"""What one process finds out about itself: its first training step, and its memory."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.peers import Peer

STEPS: Final = 3


def first(build: Callable[[], Peer], modules: Sequence[str], x: Any, y: Any) -> dict[str, float]:
    """Wall-clock seconds to import and to the end of the first step; bytes of memory at most.

    `used` is what the net and `STEPS` steps added to the resident memory, `resident` all of it.
    """
    began = perf_counter()
    for module in modules:
        import_module(module)
    imported = perf_counter()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets what was highest
    peer = build()
    batch = peer.arrays(x, y)
    peer.number(peer.step(*batch))
    done = perf_counter()
    for _ in range(STEPS - 1):
        peer.number(peer.step(*batch))
    highest = memory("VmHWM")
    return {
        "imports": imported - began,
        "first": done - imported,
        "used": highest - before,
        "resident": highest,
    }


def memory(what: str) -> int:
    """Bytes of resident memory: `VmRSS` now, `VmHWM` at its highest."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{what}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(what)
