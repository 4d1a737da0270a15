"""Memory that native code reads and writes: persistent blocks with live views, and the arena.

Invariant: every block starts at a multiple of 64 bytes and never moves while a program lives; the
arena may move when it grows, between calls.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from ctypes import addressof, c_char
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netc.runtime.arrays import Array, address
from netc.runtime.errors import DataError, suggestion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netc.compiler.program import Block

LINE: Final = 64  # bytes of a cache line, and of the widest vector
HUGE_PAGE: Final = 2 << 20


def mapped(size: int) -> tuple[mmap.mmap, int]:
    """Zeroed memory, and where in it `size` bytes start: on huge pages if there are many.

    Where the system grants them, rows of a large matrix that are read one after the other need not
    each be looked up in the page tables.
    """
    large = size >= HUGE_PAGE
    try:
        memory = mmap.mmap(-1, size + HUGE_PAGE if large else max(size, LINE))
    except (OSError, OverflowError, ValueError) as error:
        raise MemoryError(f"no room for {size:,} bytes of scratch memory: {error}") from error
    if large and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = addressof(c_char.from_buffer(memory))
    return memory, -start % HUGE_PAGE if large else 0  # small maps start at a page


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """`size` zeroed bytes from a multiple of 64 on; at least one line, to have an address."""
    memory, start = mapped(size)
    return np.frombuffer(memory, np.uint8, max(size, LINE), start)


class Values(Mapping[str, Array]):
    """The values in one persistent block, by name, as live NumPy arrays of the declared shapes.

    Reading shows the current numbers; writing through an array counts from the next call.
    """

    def __init__(self, block: Block, dtype: np.dtype[Any], noun: str) -> None:
        self._noun = noun
        self._guard: Callable[[], None] | None = None
        self.memory = aligned_bytes(block.size)
        self.address = address(self.memory)
        self._views = {
            v.name: np.ndarray(v.shape, dtype, self.memory.data, v.offset, v.strides)
            for v in block.values
        }
        self._dtype = dtype

    def guarded(self, guard: Callable[[], None]) -> Values:
        """These values, read only after `guard` has agreed (it raises otherwise)."""
        self._guard = guard
        return self

    def __getitem__(self, name: str) -> Array:
        self._checked()
        try:
            return self._views[name]
        except KeyError:
            advice = suggestion(name, self._views)
            text = f"no {self._noun} `{name}`" + (f"; {advice}" if advice else "")
            raise KeyError(text) from None

    def __setitem__(self, name: str, value: object) -> None:
        """Copies an array of the declared shape into a value; DataError when it does not fit."""
        view, found = self[name], np.asarray(value)
        if found.shape != view.shape or found.dtype.kind not in "biuf":
            raise DataError(
                f"the {self._noun} `{name}` has shape {view.shape}, "
                f"found shape {found.shape} of {found.dtype}"
            )
        view[...] = found

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __contains__(self, name: object) -> bool:
        return name in self._views

    def __repr__(self) -> str:
        shapes = ", ".join(f"{n}: {list(v.shape)}" for n, v in self._views.items())
        return f"<{self._noun}s {{{shapes}}}>"

    @property
    def flat(self) -> Array:
        """All values as one vector: declaration order, row-major, no padding.

        A read-only copy; assign a vector of the same length to `flat` to change the values.
        """
        self._checked()
        parts = [v.ravel() for v in self._views.values()]
        vector = np.concatenate(parts) if parts else np.empty(0, self._dtype)
        vector.flags.writeable = False
        return vector

    @flat.setter
    def flat(self, vector: object) -> None:
        found = np.asarray(vector)
        size = sum(v.size for v in self._views.values())
        if found.shape != (size,) or found.dtype.kind not in "biuf":
            raise DataError(
                f"the flat vector of {self._noun}s has shape ({size},), "
                f"found shape {found.shape} of {found.dtype}"
            )
        start = 0
        for view in self._views.values():
            view[...] = found[start : start + view.size].reshape(view.shape)
            start += view.size

    def arrays(self) -> dict[str, Array]:
        """C-contiguous copies of all values."""
        self._checked()
        return {n: np.array(v, order="C") for n, v in self._views.items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The declared shapes."""
        return {n: v.shape for n, v in self._views.items()}

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Copies arrays of the declared shapes into the block."""
        for name, view in self._views.items():
            view[...] = arrays[name]

    def _checked(self) -> None:
        if self._guard is not None:
            self._guard()


class Arena:
    """Scratch memory of native calls: grows to the largest call so far, on huge pages if large.

    `address` is aligned to 64 bytes, and to 2 MiB when the arena is large; `grow` may move it.
    """

    __slots__ = ("_memory", "address", "size")

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self.size = 0
        self.address = 0

    def grow(self, size: int) -> None:
        """Makes room for `size` bytes; what was there is lost."""
        self._memory, self.size = None, 0  # the old arena goes before the new one comes
        self._memory, start = mapped(size)
        self.address = addressof(c_char.from_buffer(self._memory)) + start
        self.size = size
