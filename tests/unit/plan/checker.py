"""An independent check of a plan: what its kernels really read and write, against its promises.

Nothing is taken from the planner's own analysis: accesses come from the lowered kernels by interval
arithmetic on their indices, liveness from the accesses, old and new values from the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from netc.compiler.ir.graph import Node, toposort
from netc.compiler.loops.loops import (
    AddSums,
    Affine,
    Bind,
    Count,
    For,
    Guard,
    Load,
    LoadRows,
    PackRows,
    Place,
    Places,
    Quotient,
    Rows,
    Store,
    StoreResult,
    StoreRows,
    TransposeTile,
    Within,
)
from netc.compiler.loops.lower import Launch
from netc.compiler.ops.source import Source
from netc.compiler.plan.plan import Buffer, Memory, Plan
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.program import Manifest

ARENA = ("batch", "fixed")
PERSISTENT = {"parameter": "parameters", "state": "states", "optimizer": "optimizer",
              "gradient": "gradients"}  # fmt: skip


class PlanError(AssertionError):
    """The plan breaks a promise."""


@dataclass(frozen=True)
class Access:
    """Elements `low` to `high` of a buffer, in the loops around the statement."""

    buffer: Buffer
    write: bool
    index: Affine
    low: int
    high: int
    loops: tuple[For, ...]


def reach(access: Load | Store, lanes: int) -> tuple[int, int]:
    """The first element that an access touches, from its index, and how many up to the last."""
    if not access.wide:
        return 0, 1
    if isinstance(access, Store):
        return 0, lanes if access.live is None else access.live
    first, end = access.live or (0, lanes)
    ends = (access.step * first, access.step * (end - 1))
    return min(ends), max(ends) - min(ends) + 1


@dataclass
class Walk:
    """The accesses of one kernel for one batch size, in program order."""

    launch: Launch
    batch: int
    lanes: int
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    loops: tuple[For, ...] = ()
    windowed: set[str] = field(default_factory=set)
    accesses: list[Access] = field(default_factory=list)

    def __post_init__(self):
        blocks = -(-self.batch // self.lanes)
        whole = {"B": self.batch, "first": 0, "blocks": blocks}
        self.ranges |= {name: (value, value) for name, value in whole.items()}
        self.walk(self.launch.kernel.body)

    def bounds(self, index: Affine) -> tuple[int, int]:
        ends = [sorted(self.ranges[n][i] * f for i in (0, 1)) for n, f in index.terms]
        return (
            index.constant + sum(e[0] for e in ends),
            index.constant + sum(e[1] for e in ends),
        )

    def count(self, extent: int | Count) -> tuple[int, int]:
        if isinstance(extent, int):
            return extent, extent
        low, high = self.ranges[extent.base]
        if not extent.remainder:
            return low // extent.divisor, high // extent.divisor
        if low == high:
            return low % extent.divisor, low % extent.divisor
        return 0, extent.divisor - 1

    def touch(self, buffer: int, index: Affine, width: int, *, write: bool) -> None:
        low, high = self.bounds(index)
        if buffer < 0:
            size = self.launch.kernel.scratch[-buffer - 1]
            if low < 0 or high + width > size:
                raise PlanError(f"tile of {size} elements: access to {low}..{high + width}")
            return
        place = self.launch.buffers[buffer]
        if any(name in self.windowed for name, _ in index.terms):
            # What stays inside is known only together with the loops around: the interpreter of
            # kernels checks each access.
            size = place.elements * (self.ranges["blocks"][1] if place.region == "batch" else 1)
            low, high = max(low, 0), min(high, size - width)
        self.accesses.append(Access(place, write, index, low, high + width - 1, self.loops))

    def walk(self, body) -> None:
        for statement in body:
            match statement:
                case Load() | Store():
                    first, width = reach(statement, self.lanes)
                    writes = isinstance(statement, Store)
                    self.touch(statement.buffer, statement.index + first, width, write=writes)
                case AddSums(buffer, indices, _):
                    for index, write in product(indices, (False, True)):
                        self.touch(buffer, index, 1, write=write)
                case For(variable, extent, inner, _):
                    rounds = self.count(extent)[1]
                    if rounds > 0:
                        self.ranges[variable] = (0, rounds - 1)
                        self.loops = (*self.loops, statement)
                        self.walk(inner)
                        self.loops = self.loops[:-1]
                case Bind(name, count):
                    self.ranges[name] = self.count(count)
                case Quotient(name, index, divisor, remainder):
                    low, high = self.bounds(index)
                    if low < 0:
                        raise PlanError(f"quotient of a negative index, {low}")
                    whole = (low // divisor, high // divisor)
                    rest = (0, min(high, divisor - 1))
                    self.ranges[name] = rest if remainder else whole
                case Within(first, count, _, _, _, rounds):
                    self.ranges |= {first: (0, rounds - 1), count: (0, rounds)}
                    self.windowed |= {first, count}
                case Guard(_, clamped, _, length):
                    self.ranges[clamped] = (0, length - 1)
                case TransposeTile(source, index, step, valid, target, target_index, stride):
                    for i in range(valid):
                        self.touch(source, index + i * step, self.lanes, write=False)
                    for i in range(self.lanes):
                        self.touch(target, target_index + i * stride, self.lanes, write=True)
                case Place(name, _, limit):
                    self.ranges[name] = (0, limit - 1)
                case Places(name, _, limit, step, apart):
                    self.ranges[name] = (0, (limit - 1) * step + apart * (self.lanes - 1))
                case Rows(name, _):
                    self.ranges[name] = (0, self.batch - 1)
                case LoadRows() | PackRows():
                    self.rows(statement)
                case StoreRows(buffer, first, size, element, _):
                    end = min(self.bounds(first)[1] + self.lanes, self.batch)
                    self.ranges["row"] = (0, end - 1)
                    self.touch(buffer, Affine(0, (("row", size),)) + element, 1, write=True)
                case StoreResult(buffer, number, _):
                    self.touch(buffer, Affine(number), 1, write=True)

    def rows(self, statement: LoadRows | PackRows) -> None:
        row = Affine(0, ((statement.rows, statement.size),))
        if isinstance(statement, LoadRows):
            self.touch(statement.buffer, row + statement.element, 1, write=False)
            return
        self.touch(statement.buffer, row, statement.size, write=False)
        self.touch(statement.target, statement.index, statement.size * self.lanes, write=True)


def check(
    plan: Plan, memory: Memory, launches: list[Launch], manifest: Manifest, together: int = 1
) -> None:
    """Raises PlanError when the kernels, in this order and at these places, break a promise."""
    _check_identity(plan, launches)
    for batch in (1, plan.lanes, 2 * plan.lanes + 3):
        walks = [Walk(launch, batch, plan.lanes) for launch in launches]
        for walk in walks:
            _check_bounds(walk, batch, plan.lanes, manifest, together)
            _check_in_place(plan, walk)
        _check_stored_before_read(walks)
        moments = _moments(plan)
        _check_arena(walks, moments, memory, batch, plan.lanes, manifest)
        _check_old_values(plan, walks)
        _check_phases(plan, walks, moments)


def together(manifest: Manifest, name: str) -> int:
    """How many samples of the caller's are one of a function."""
    return manifest.inference.group if name == "infer_group" else 1


def _check_identity(plan: Plan, launches: list[Launch]) -> None:
    """Kernels assume that different buffers do not overlap: one place has one buffer."""
    known: dict[tuple[str, str], Buffer] = {}
    for buffer in {b: None for launch in launches for b in launch.buffers}:
        if buffer.region not in ARENA:
            border = buffer.region in ("input", "output", "result")
            found = known.setdefault((buffer.region, buffer.name), buffer)
            if found is not buffer and not border:
                raise PlanError(f"two buffers for {buffer.region} {buffer.name}")


def _check_bounds(walk: Walk, batch: int, lanes: int, manifest: Manifest, together: int) -> None:
    blocks = -(-batch // lanes)
    ports = {("input", p.name): p for p in (*manifest.inputs, *manifest.targets)}
    ports |= {("output", p.name): p for p in manifest.outputs}
    for access in walk.accesses:
        buffer = access.buffer
        match buffer.region:
            case "batch":
                size = buffer.elements * blocks
            case "input" | "output":
                size = batch * together
                for n in ports[buffer.region, buffer.name].shape:
                    size *= n
            case "result":
                size = len(manifest.results)
            case _:
                size = buffer.elements
        if access.low < 0 or access.high >= size:
            raise PlanError(
                f"{walk.launch.unit.kind}: {buffer} has {size} elements for {batch} samples,"
                f" access from {access.low} to {access.high}"
            )


def _check_stored_before_read(walks: list[Walk]) -> None:
    written: set[Buffer] = set()
    for walk in walks:
        for access in walk.accesses:
            if access.write:
                written.add(access.buffer)
            elif access.buffer.region in ARENA and access.buffer not in written:
                kind = walk.launch.unit.kind
                raise PlanError(f"{kind} reads {access.buffer} before it is stored")


def _kinds(plan: Plan) -> list[str]:
    """The kind of the phase of each kernel."""
    return [phase.kind for phase in plan.phases for _ in phase.units]


def _moments(plan: Plan) -> list[int]:
    """For each kernel when it runs: kernels that different threads may run at once share a number.

    Without a barrier between them, that are all but those of one thread.
    """
    between: list[list[str]] = []
    for phase in plan.phases:
        if phase.barrier or not between:
            between.append([])
        between[-1] += [phase.kind] * len(phase.units)
    moments: list[int] = []
    for kinds in between:
        start = moments[-1] + 1 if moments else 0
        alone = all(kind == "single" for kind in kinds)
        moments += [start + i * alone for i in range(len(kinds))]
    return moments


def _check_phases(plan: Plan, walks: list[Walk], moments: list[int]) -> None:
    """What runs at once does not meet, except thread by thread: in one block, or in the first."""
    kinds = _kinds(plan)
    if len(kinds) != len(walks):
        raise PlanError("phases and kernels differ")
    for i, walk in enumerate(walks):
        if kinds[i] == "blocks" and not walk.launch.unit.per_block:
            raise PlanError(f"{walk.launch.unit.kind} cannot do a range of blocks")
        written = {a.buffer for a in walk.accesses if a.write}
        touched = {a.buffer for a in walk.accesses}
        for j in (j for j in range(i) if moments[j] == moments[i]):
            other = walks[j]
            others = {a.buffer for a in other.accesses if a.write}
            meeting = (written & {a.buffer for a in other.accesses}) | (touched & others)
            if kinds[i] == kinds[j] == "blocks":
                meeting = {b for b in meeting if b.region != "batch"}
            if meeting and not kinds[i] == kinds[j] == "single":
                raise PlanError(f"{meeting} without a barrier between")


def _check_arena(
    walks: list[Walk],
    moments: list[int],
    memory: Memory,
    batch: int,
    lanes: int,
    manifest: Manifest,
) -> None:
    """Places are aligned, inside their part of the arena or block, and apart while in use."""
    width, blocks = ELEMENT_BYTES[manifest.precision], -(-batch // lanes)
    alive: dict[Buffer, tuple[int, int]] = {}
    for i, walk in zip(moments, walks, strict=True):
        for access in walk.accesses:
            alive[access.buffer] = (alive.get(access.buffer, (i, i))[0], i)
    places: list[tuple[Buffer, int, int]] = []
    for buffer in alive:
        if buffer.region in PERSISTENT:
            _check_block(buffer, getattr(manifest, PERSISTENT[buffer.region]), width)
        if buffer.region not in ARENA:
            continue
        offset = memory.offsets[buffer]
        batched = buffer.region == "batch"
        end = offset + buffer.elements * width
        if offset % 64 or offset < 0 or end > (memory.per_block if batched else memory.fixed):
            raise PlanError(f"{buffer} at {offset} to {end}")
        start = memory.fixed + offset * blocks if batched else offset
        places.append((buffer, start, start + buffer.elements * width * (blocks if batched else 1)))
    if memory.fixed % 64 or memory.per_block % 64:
        raise PlanError(f"arena parts of {memory.fixed} and {memory.per_block} bytes")
    for n, (a, start, end) in enumerate(places):
        for b, other_start, other_end in places[:n]:
            together = alive[a][0] <= alive[b][1] and alive[b][0] <= alive[a][1]
            if together and start < other_end and other_start < end:
                raise PlanError(f"{a} and {b} overlap while both are in use")


def _check_block(buffer: Buffer, block, width: int) -> None:
    starts = sorted([v.offset for v in block.values] + [block.size])
    (value,) = (v for v in block.values if v.name == buffer.name)
    room = min(s for s in starts if s > value.offset) - value.offset
    if value.offset % 64 or buffer.elements * width > room:
        raise PlanError(f"{buffer} has {room} bytes at {value.offset}")


def _check_old_values(plan: Plan, walks: list[Walk]) -> None:
    """Nobody reads a value after the kernel that overwrites it."""
    overwritten: set[Buffer] = set()
    holds: dict[Buffer, Node] = {}
    for walk in walks:
        read = _read_nodes(plan, walk)
        old = {plan.where[n] for n in read if isinstance(n.op, Source)}
        gone = {plan.where[n] for n in read if holds.get(plan.where[n], n) is not n}
        for buffer in old & overwritten | gone:
            raise PlanError(f"{walk.launch.unit.kind} needs the old value of {buffer}")
        overwritten |= {
            a.buffer for a in walk.accesses if a.write and a.buffer.region in PERSISTENT
        }
        holds |= {s.buffer: s.node for s in walk.launch.unit.stores if s.buffer.region in ARENA}


def _read_nodes(plan: Plan, walk: Walk) -> set[Node]:
    """The nodes that a kernel needs from memory, by the graph."""
    unit = walk.launch.unit
    loaded = {a.buffer for a in walk.accesses if not a.write}
    made = {s.node for s in unit.stores if plan.where.get(s.node) is s.buffer}
    copied = [s.node for s in unit.stores if s.node not in made and unit.kind != "copy"]
    stack = [a for n in (*made, *filter(None, [unit.contraction])) for a in n.args]
    stack += [*copied, *(o.node for o in unit.outputs)]
    found: set[Node] = set()
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node not in made and node in plan.where and plan.where[node] in loaded:
            found.add(node)
        else:
            stack.extend(node.args)
    return found


def _check_in_place(plan: Plan, walk: Walk) -> None:
    """One kernel reads each old value before it overwrites it, element by element.

    A later nest may read what an earlier one has stored, when the graph says so. One sample stands
    for all in what is a sample's own.
    """
    old = {plan.where[n] for n in _read_nodes(plan, walk)}
    both = {a.buffer for a in walk.accesses if a.write} & old
    if walk.batch > 1:
        both = {b for b in both if b.region != "batch"}
    if both:
        stores = walk.launch.unit.stores
        again = {s.buffer for s in stores if any(_needs(o, s) for o in stores)}
        _Trace(walk, both, again).run()


def _needs(store, other) -> bool:
    """Whether a store reads, or copies, the value that the other stores."""
    return store is not other and other.node in toposort([store.node])


@dataclass
class _Trace:
    """Executes the accesses to the buffers `both` of one kernel; `again` may be read when new."""

    walk: Walk
    both: set[Buffer]
    again: set[Buffer]
    nest: int = 0

    def run(self) -> None:
        blocks = -(-self.walk.batch // self.walk.lanes)
        self.integers = {"B": self.walk.batch, "first": 0, "blocks": blocks}
        self.writer = {
            b: np.full(b.elements * (blocks if b.region == "batch" else 1), -1) for b in self.both
        }
        for statement in self.walk.launch.kernel.body:
            match statement:
                case For(variable, Count("blocks") as extent, body, _):
                    for i in range(self.count(extent)):
                        self.integers[variable] = i
                        self.nests(body)
                case _:
                    self.nests((statement,))

    def nests(self, body) -> None:
        for statement in body:
            self.nest += 1
            self.statement(statement)

    def concerned(self, body) -> bool:
        """Whether a loop touches one of the buffers."""
        return any(
            self.concerned(s.body)
            if isinstance(s, For)
            else isinstance(s, Load | Store) and self.buffer(s) in self.both
            for s in body
        )

    def buffer(self, access: Load | Store) -> Buffer | None:
        return self.walk.launch.buffers[access.buffer] if access.buffer >= 0 else None

    def index(self, index: Affine) -> int:
        return index.constant + sum(self.integers[n] * f for n, f in index.terms)

    def count(self, extent: int | Count) -> int:
        if isinstance(extent, int):
            return extent
        base = self.integers[extent.base]
        return base % extent.divisor if extent.remainder else base // extent.divisor

    def statement(self, statement) -> None:
        match statement:
            case For(variable, extent, body, _):
                if self.concerned(body):
                    for i in range(self.count(extent)):
                        self.integers[variable] = i
                        for inner in body:
                            self.statement(inner)
            case Bind(name, count):
                self.integers[name] = self.count(count)
            case Quotient(name, index, divisor, remainder):
                self.integers[name] = divmod(self.index(index), divisor)[remainder]
            case Within(first, count, index, step, length, rounds):
                start = self.index(index)
                valid = [r for r in range(rounds) if 0 <= start + step * r < length]
                self.integers |= {first: valid[0] if valid else 0, count: len(valid)}
            case Guard(_, clamped, index, length):
                at = self.index(index)
                self.integers[clamped] = at if 0 <= at < length else 0
            case Load() | Store() if (buffer := self.buffer(statement)) in self.both:
                first, width = reach(statement, self.walk.lanes)
                start = self.index(statement.index) + first
                place = self.writer[buffer][start : start + width]
                if isinstance(statement, Store):
                    place[:] = self.nest
                elif (place >= (self.nest if buffer in self.again else 0)).any():
                    raise PlanError(f"{buffer} is overwritten before it is read")
