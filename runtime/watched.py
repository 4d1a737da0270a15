"""An executable that remembers what each call was given, and stops at a number that is not finite.

A training run goes step by step in Python: the same native step on the same samples in the same
order, hence the same bits.

Invariant: after a call that was stopped, all stored values are as they were before it.
"""

from __future__ import annotations

from ctypes import c_char
from dataclasses import replace
from math import isfinite, prod
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np

from netc.records import record
from netc.runtime.arguments import Batch
from netc.runtime.arrays import Array, address
from netc.runtime.errors import DebugError
from netc.runtime.executable import Counters, Executable, Native, TrainingRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from netc.compiler.program import Block, FunctionName, Manifest, PortSpec, TeamCode
    from netc.runtime.blocks import Values

Bad = tuple[tuple[str, str], ...]
"""Results that are not finite, by space and name, the most telling first."""

Stepping: TypeAlias = Literal["step", "update"]
STEPPING: Final = get_args(Stepping)
TRAINING: Final = ("forward", "backward", "update", "step")
"""Functions that see the net in training mode."""

_STEPS, _STOP, _EPOCHS = range(3)  # places in the progress counters


@record
class Call:
    """A native call as it was given: all that decides what it does.

    `stored` are the blocks of memory before it, by space; `results` those of the training so far,
    where `update` finds the objective.
    """

    function: FunctionName
    batch: Batch
    stored: Mapping[str, NDArray[np.uint8]]
    scalars: Mapping[str, float]
    seed: int
    counters: Counters
    results: tuple[float, ...]


class Watched(Executable):
    """Runs the functions of a program one call at a time, and looks at what they leave.

    `last` is the last call, `last_step` the last one that moved the parameters, with the results
    and the stored values, by space, that it `left`, before those were put back if it failed.
    `inspect` may refuse a call before it is made, `explain` makes the error of a call whose results
    are not finite.
    """

    def __init__(
        self,
        manifest: Manifest,
        native: Native,
        initial: Mapping[tuple[Any, str], Array],
        seed: int,
        *,
        threads: int = 1,
        team: Callable[[], TeamCode] | None = None,
    ) -> None:
        super().__init__(manifest, native, initial, seed, threads=threads, team=team)
        self.last: Call | None = None
        self.last_step: Call | None = None
        self.left: tuple[tuple[float, ...], dict[str, NDArray[np.uint8]]] = ((), {})
        self.inspect: Callable[[Call], None] = _unseen
        self.explain: Callable[[Call, Bad], DebugError] = _plainly
        self._turn = RLock()

    def run(
        self, name: FunctionName, rows: int, data: Sequence[int], states: int | None = None
    ) -> list[float]:
        """Like any executable's; DebugError when a result or a stored value is not finite."""
        with self._turn:
            call = self._given(name, rows, data, states)
            try:
                self.inspect(call)
            except DebugError:
                if name in STEPPING:
                    self.left = (), {s: v.memory.copy() for s, v in self._stored()}
                raise
            results = super().run(name, rows, data, states)
            if name in STEPPING:
                left = self.left[1]  # memory that is written again costs a tenth of new one
                self.left = tuple(results), {s: _copied(v, left.get(s)) for s, v in self._stored()}
            self._check(call, data, results)
        return results

    def infer(self, rows: int, data: Sequence[int]) -> None:
        """Like any executable's; DebugError when an output is not finite."""
        with self._turn:
            call = self._given("infer", rows, data, None)
            self.inspect(call)
            super().infer(rows, data)
            self._check(call, data, [])

    def step(self, rows: int, data: Sequence[int]) -> float:
        """The objective of one step."""
        return self.run("step", rows, data)[0]

    def train(self, run: TrainingRun, data: Sequence[int]) -> None:
        """The steps of a training run one by one; DebugError at the first that is not finite."""
        with self._turn:
            before = replace(self.counters)
            try:
                self._train(run, data)
            finally:  # who called counts the steps and epochs
                self.counters.step, self.counters.epoch = before.step, before.epoch

    def _train(self, run: TrainingRun, data: Sequence[int]) -> None:
        given = [p for p, a in zip(self._ports(), data, strict=False) if a]
        arrays = Batch(_rows_at(self._ports(), data, run.samples, self.dtype), run.samples)
        first_step, first_epoch, done = self.counters.step, self.counters.epoch, 0
        unused = [0] * len(self.manifest.outputs)
        for epoch in range(run.epochs):
            self.counters.epoch = first_epoch + epoch
            self._shuffle(run, data)
            sums, seen = np.zeros(len(self.manifest.results)), 0
            for start in range(run.first if epoch == 0 else 0, run.samples, run.batch):
                if run.progress[_STOP] or (run.max_steps and done >= run.max_steps):
                    return
                rows = arrays.rows(run.order[start : start + run.batch])
                places = [address(rows.arrays[p.name]) for p in given]
                self.counters.step = first_step + done
                results = self.run("step", rows.samples, [*places, *unused])
                done, seen = done + 1, seen + rows.samples
                sums += rows.samples * np.array(results[: len(sums)])
                run.history[epoch] = sums / seen
                run.progress[_STEPS] = done
            run.progress[_EPOCHS] = epoch + 1

    def _shuffle(self, run: TrainingRun, data: Sequence[int]) -> None:
        """Puts the samples of an epoch in order: the native loop, told to stop before it begins."""
        stop = np.zeros(4, np.int64)
        stop[_STOP] = 1
        super().train(
            replace(run, epochs=1, first=0, progress=stop, history=run.history[:1] * 0), data
        )

    def recall(self, results: Sequence[float]) -> None:
        """Puts the results of a backward pass where `update` finds the objective."""
        self._training_results[: len(results)] = results

    # -- what a call was given -----------------------------------------------------------------

    def _ports(self) -> tuple[PortSpec, ...]:
        """Inputs and targets, in the order of a call's addresses."""
        return (*self.manifest.inputs, *self.manifest.targets)

    def _given(
        self, name: FunctionName, rows: int, data: Sequence[int], states: int | None
    ) -> Call:
        arrays = _rows_at(self._ports(), data, rows, self.dtype)
        room = self.last_step.stored if name in STEPPING and self.last_step else {}
        read = [one for one in self._stored() if one[0] != "optimizer" or name in STEPPING]
        stored = {space: _copied(values, room.get(space)) for space, values in read}
        if states is not None:
            stored["state"] = np.frombuffer(_bytes_at(states, self.states.memory.size), np.uint8)
        if name == "update":
            stored["gradient"] = self.gradients.memory.copy()
        self.last = Call(
            name,
            Batch({n: a.copy() for n, a in arrays.items()}, rows),
            stored,
            dict(self.scalars),
            self.seed,
            replace(self.counters),
            tuple(self._training_results.tolist()),
        )
        if name in STEPPING:
            self.last_step = self.last
        return self.last

    # -- what a call left ----------------------------------------------------------------------

    def _check(self, call: Call, data: Sequence[int], results: Sequence[float]) -> None:
        bad = [*self._results(call.function, results), *self._outputs(call, data)]
        bad += self._stored_since(call)
        if call.function == "backward":
            blocks = self.manifest.gradients, self.gradients.memory
            bad += [("gradient", n) for n, a in self._in(*blocks).items() if not finite(a)]
        if not bad:
            return
        if call.function in (*STEPPING, "forward"):
            for space, values in self._stored():
                if space in call.stored:
                    values.memory[:] = call.stored[space]
        raise self.explain(call, tuple(bad))

    def _results(self, name: FunctionName, results: Sequence[float]) -> list[tuple[str, str]]:
        """Objective and loss; a metric may be undefined on a batch."""
        if name not in ("step", "backward", "evaluate"):
            return []
        named = zip(self.manifest.results, results, strict=False)
        return [("result", n) for n, v in named if n in ("objective", "loss") and not isfinite(v)]

    def _outputs(self, call: Call, data: Sequence[int]) -> list[tuple[str, str]]:
        if call.function not in ("infer", "forward", "evaluate"):
            return []
        places = data[len(self._ports()) :]
        arrays = _rows_at(self.manifest.outputs, places, call.batch.samples, self.dtype)
        return [("output", n) for n, a in arrays.items() if not finite(a)]

    def _stored_since(self, call: Call) -> list[tuple[str, str]]:
        """Stored values with numbers that are not finite now and were before the call."""
        if call.function not in (*STEPPING, "forward"):
            return []
        m = self.manifest
        blocks: dict[str, tuple[Block, Values]] = {
            "state": (m.states, self.states),
            "parameter": (m.parameters, self.parameters),
            "optimizer": (m.optimizer, self.optimizer),
        }
        bad = []
        for space, (block, values) in blocks.items():
            if space not in call.stored or finite(values.memory.view(self.dtype)):
                continue
            was = self._in(block, call.stored[space])
            bad += [
                (space, n)
                for n, a in self._in(block, values.memory).items()
                if (np.isfinite(was[n]) & ~np.isfinite(a)).any()
            ]
        return bad

    def _in(self, block: Block, memory: NDArray[np.uint8]) -> dict[str, Array]:
        return views(block, memory, self.dtype)


def views(block: Block, memory: NDArray[np.uint8], dtype: np.dtype[Any]) -> dict[str, Array]:
    """The values that lie in a copy of a persistent block, by name."""
    return {
        v.name: np.ndarray(v.shape, dtype, memory.data, v.offset, v.strides) for v in block.values
    }


def _copied(values: Values, room: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The bytes of a block, in memory that is there or in new one."""
    if room is None:
        return values.memory.copy()
    room[:] = values.memory
    return room


def finite(array: Array) -> bool:
    """Whether no number of an array is NaN or infinite."""
    return bool(np.isfinite(array).all())


def _bytes_at(place: int, size: int) -> bytearray:
    return bytearray((c_char * size).from_address(place))


def _rows_at(
    ports: Sequence[PortSpec], data: Sequence[int], rows: int, dtype: np.dtype[Any]
) -> dict[str, Array]:
    """The arrays whose addresses are in a call, as they lie there."""
    found = {}
    for port, place in zip(ports, data, strict=False):
        if place:
            memory: Any = (c_char * (rows * prod(port.shape) * dtype.itemsize)).from_address(place)
            found[port.name] = np.frombuffer(memory, dtype).reshape(rows, *port.shape)
    return found


def _unseen(call: Call) -> None:
    """Nothing is wrong with a call."""


def _plainly(call: Call, bad: Bad) -> DebugError:
    space, name = bad[0]
    return DebugError(f"`{call.function}` made the {space} `{name}` NaN or infinite")
