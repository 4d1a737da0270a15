"""The kernel IR: loop nests over affine accesses with explicit vectors.

Values are named once inside a kernel. A *wide* access reads or writes one vector of neighbouring
elements: the samples of one block, or neighbouring elements of a row. A narrow value that meets a
wide one is the same in every lane. Loops carry values explicitly, so reductions and register tiles
have one form.
"""

from __future__ import annotations

from netc.records import record

Operand = str | float
"""The name of a value, or a literal number."""


@record
class Affine:
    """`constant + Σ coefficient · variable`, an integer; terms sorted by variable, none zero."""

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.constant + other, self.terms) if other else self
        if not other.terms:
            return self + other.constant
        if not self.terms:
            return other + self.constant
        total = dict(self.terms)
        for name, factor in other.terms:
            total[name] = total.get(name, 0) + factor
        kept = tuple(sorted([term for term in total.items() if term[1]]))
        return Affine(self.constant + other.constant, kept)

    def __mul__(self, factor: int) -> Affine:
        if factor == 0:
            return Affine()
        if factor == 1:
            return self
        return Affine(self.constant * factor, tuple([(n, f * factor) for n, f in self.terms]))

    def coefficient(self, variable: str) -> int:
        return dict(self.terms).get(variable, 0)

    def __str__(self) -> str:
        parts = [n if f == 1 else f"{f}{n}" for n, f in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)


def var(name: str) -> Affine:
    """The index that is just the variable `name`."""
    return Affine(0, ((name, 1),))


@record
class Count:
    """A run-time loop count: `base // divisor`, or `base % divisor`.

    `base` is "B" (samples of the batch), "blocks" (blocks of this call: those from the variable
    "first" on) or a variable bound before.
    """

    base: str
    divisor: int = 1
    remainder: bool = False

    def __str__(self) -> str:
        if self.divisor == 1:
            return self.base
        return f"{self.base} {'%' if self.remainder else '//'} {self.divisor}"


Extent = int | Count


@record
class Load:
    """`name = buffer[index]`, or the vector that starts there, of elements `step` apart.

    With `live` only the lanes from its first up to, not including, its second number are read; the
    others are 0.
    """

    name: str
    buffer: int
    index: Affine
    wide: bool
    step: int = 1
    live: tuple[int, int] | None = None


@record
class Store:
    """`buffer[index] = value`; wide stores write a whole vector, or its first `live` lanes."""

    buffer: int
    index: Affine
    value: Operand
    wide: bool
    live: int | None = None


@record
class AddSums:
    """`buffer[indices[i]] += Σ lanes of values[i]`, for at most as many values as lanes."""

    buffer: int
    indices: tuple[Affine, ...]
    values: tuple[Operand, ...]


@record
class Prefetch:
    """Asks for the cache line of `buffer[index]`; changes no value."""

    buffer: int
    index: Affine


@record
class Compute:
    """`name = op(args)`: an elementwise op of the graph, or one of the kernel level.

    Kernel-level ops: `fma(a, b, c)` = a·b + c; `reduce_add`, `reduce_max`, `reduce_min` combine the
    lanes of a vector into a number; `keep(mask, x, y)` is x where the mask holds, else y; `wide(x)`
    makes a narrow value wide; `convert` leaves the number as it is.
    """

    name: str
    op: str
    args: tuple[Operand, ...]


@record
class Bind:
    """`name = count`, an integer variable."""

    name: str
    count: Count


@record
class Quotient:
    """`name = index // divisor` (or `%`), an integer variable; the index is never negative."""

    name: str
    index: Affine
    divisor: int
    remainder: bool


@record
class Within:
    """Which rounds r of a loop of `extent` keep 0 <= index + step · r < length: a range.

    `first` and `count` are integer variables; `step` is positive. No round: count is 0.
    """

    first: str
    count: str
    index: Affine
    step: int
    length: int
    extent: int


@record
class Guard:
    """`name`: whether 0 <= index < length, the same in all lanes.

    `clamped` is the index where it holds, else 0: an integer variable that never leaves the range.
    """

    name: str
    clamped: str
    index: Affine
    length: int


@record
class Position:
    """`name` = the number `index`, or `index + lane` when wide."""

    name: str
    index: Affine
    wide: bool


@record
class Mask:
    """`name`: in which lanes `index + lane < limit` holds. The limit is a number or "B"."""

    name: str
    index: Affine
    limit: int | str


@record
class Draw:
    """`name` = a uniform random number for an element and a sample of the draw named `path`.

    `lanes` tells what runs along the lanes of a wide draw: samples, elements, or nothing (narrow).
    """

    name: str
    path: str
    element: Affine
    sample: Affine
    lanes: str


@record
class ReadScalar:
    """`name` = a run-time number of the call (step, epoch, …)."""

    name: str
    scalar: str


@record
class TransposeTile:
    """A square of as many vectors as a vector has lanes, from one buffer turned into another.

    Vector i is read at `index + i · step` (at most the last of `valid` ones), and lane i of all of
    them is written at `target_index + i · stride`.
    """

    source: int
    index: Affine
    step: int
    valid: int
    target: int
    target_index: Affine
    stride: int


@record
class Place:
    """`name` = the whole part of a narrow value in 0 ≤ value < `limit`, an integer variable."""

    name: str
    value: Operand
    limit: int


@record
class Places:
    """`name` = for each lane the whole part of a value times `step`, plus the lane if `apart`.

    The values are in 0 ≤ value < `limit`.
    """

    name: str
    value: Operand
    limit: int
    step: int
    apart: bool


@record
class Rows:
    """`name` = for each lane the row of sample `index + lane`; dead lanes repeat the last row."""

    name: str
    index: Affine


@record
class LoadRows:
    """`name` = for each lane `buffer[row · size + element]`; `rows` names `Rows` or `Places`."""

    name: str
    buffer: int
    rows: str
    size: int
    element: Affine


@record
class PackRows:
    """All `size` elements of `Rows`, at least as many as lanes.

    Element e of all lanes is written as the vector at `index + e · lanes` of the target.
    """

    buffer: int
    rows: str
    size: int
    target: int
    index: Affine


@record
class StoreRows:
    """`buffer[(first + lane) · size + element] = value`, for lanes with `first + lane < B`."""

    buffer: int
    first: Affine
    size: int
    element: Affine
    value: Operand


@record
class StoreResult:
    """Writes a narrow value to the double-precision array of results."""

    buffer: int
    index: int
    value: Operand


@record
class Carry:
    """A value carried round a loop: `name` inside, `initial` at first, `next` after each round.

    After the loop `result` is the last value.
    """

    name: str
    initial: Operand
    next: Operand
    result: str
    wide: bool


@record
class For:
    """`for variable in 0 … extent - 1`; zero rounds are allowed for run-time extents.

    A `split` loop of a constant extent is shared out: this call does the rounds of its part,
    `extent · part // parts … extent · (part + 1) // parts - 1`. It carries nothing.
    """

    variable: str
    extent: Extent
    body: tuple[Statement, ...]
    carries: tuple[Carry, ...] = ()
    split: bool = False


Statement = (
    Load
    | Store
    | AddSums
    | Prefetch
    | Compute
    | Bind
    | Quotient
    | Within
    | Guard
    | Position
    | Mask
    | Draw
    | ReadScalar
    | TransposeTile
    | Place
    | Places
    | Rows
    | LoadRows
    | PackRows
    | StoreRows
    | StoreResult
    | For
)


@record(eq=False)
class Kernel:
    """A loop nest over `buffers` numbered buffers; buffers -1, -2 … are stack tiles.

    `scratch` gives the number of elements of each stack tile. One kernel is one native function,
    however often it is called. A call does some blocks of samples (`first`, `blocks`), or one part
    of the results of all blocks: a kernel has loops over blocks or split loops around all it
    writes, or neither, and then one call does everything.
    """

    body: tuple[Statement, ...]
    buffers: int
    scratch: tuple[int, ...] = ()

    @property
    def split(self) -> bool:
        """Whether parts of its results can be computed apart."""
        return _splits(self.body)


def _splits(body: tuple[Statement, ...]) -> bool:
    return any(isinstance(s, For) and (s.split or _splits(s.body)) for s in body)
