"""A model that can be looked into after every call and says where a number went wrong.

It runs the same native functions as any model, so its numbers are the same to the last bit. What a
call was given is kept: named values are computed from it when they are read, and the origin of a
NaN is found by running it again in the interpreter.

Invariant: after a DebugError all values are those before the call.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netc.failure import misplaced, report
from netc.model import Model, Outputs
from netc.probing import probed
from netc.records import record
from netc.runtime.arrays import single
from netc.runtime.errors import DataError, DebugError, UsageError, suggestion
from netc.runtime.evaluate import addresses, outputs_of
from netc.runtime.replay import KeptStep, digest, write_step
from netc.runtime.watched import TRAINING, Watched, views

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from netc.compiler.driver import Program
    from netc.compiler.elaborate.model import Index
    from netc.compiler.ir.op import Environment
    from netc.compiler.program import Block
    from netc.model import Defines
    from netc.runtime.arrays import Array
    from netc.runtime.executable import Executable
    from netc.runtime.watched import Bad, Call, Stepping


@record
class Repeated:
    """A step that was done again: whether every bit is as it was, and how it failed, if it did."""

    results: tuple[float, ...]
    same: bool
    failure: DebugError | None


class DebugModel(Model):
    """A model compiled with `debug=True`."""

    _EXECUTABLE: ClassVar[type[Executable]] = Watched

    def __init__(
        self, program: Program, *, defines: Defines, seed: int | None, threads: int
    ) -> None:
        super().__init__(program, defines=defines, seed=seed, threads=threads)
        self._watched.explain = self._explained
        self._watched.inspect = self._inspected
        self._indexing: dict[tuple[bool, bool], tuple[list[Index], Model | None]] = {}
        self._inside: dict[tuple[bool, bool], Model] = {}
        self._values: tuple[Call, dict[str, Array]] | None = None  # of the call they were read of

    @property
    def _watched(self) -> Watched:
        assert isinstance(self._executable, Watched)
        return self._executable

    def forward(self, /, *inputs: object, training: bool = False, **named: object) -> Outputs:
        """Like any model's; a DebugError when an output is not finite."""
        if training:
            return super().forward(*inputs, training=True, **named)
        self._need("infer")
        return single(outputs_of(self._executable, "infer", self._inputs(inputs, named)))

    def value(self, name: str) -> Array:
        """A named value of the last call: of each of its samples, in the mode of that call.

        Names are those of inputs, bindings and layers, as `netc probe` lists them. It is computed
        when it is read, from what the call was given; rounding may differ from that inside the
        call, where other operations are fused. Raises UsageError before the first call and for an
        unknown name.
        """
        call = self._called()
        values, names = self._all_values(call), self._names(call)
        if name in names and names[name] in values:
            return values[names[name]].copy()
        if name in names:
            raise UsageError(f"`{name}` depends on a target, and the last call had none")
        raise UsageError(f"there is no value `{name}`", suggestion(name, self.value_names))

    @property
    def value_names(self) -> list[str]:
        """The names that `value` knows of the last call, in the order of the text."""
        call = self._called()
        known = self._all_values(call)
        return [name for name, kept in self._names(call).items() if kept in known]

    # -- steps that are done again -------------------------------------------------------------

    def save_run(self, path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
        """Like any model's, with the last step, so that it can be done again."""
        super().save_run(path, data)
        if self._watched.last_step is not None:
            write_step(Path(path), self._kept(self._watched.last_step))

    def repeat(self, kept: KeptStep) -> Repeated:
        """Does a step again that a run has kept; the model is then as the step left it.

        A step that fails leaves all as it was before it. Raises DataError for a step of another
        model.
        """
        executable, memories = self._watched, self._memories()
        try:
            for (space, name), array in kept.stored.items():
                views(self._blocks()[space], memories[space], self.dtype)[name][...] = array
            self.scalars.update(kept.scalars)
        except (KeyError, ValueError, UsageError) as error:
            raise DataError(f"the step is of another model: {error}") from None
        if kept.function == "update":
            executable.recall(kept.results)
        slots = addresses(executable, kept.batch, {})
        self.seed, executable.counters = kept.seed, replace(kept.counters)
        failure: DebugError | None = None
        try:
            executable.run(kept.function, kept.batch.samples, slots)
            self._count_step()
        except DebugError as error:
            failure = error
        results, _ = executable.left
        return Repeated(results, self._left_digest() == kept.digest, failure)

    def _kept(self, call: Call) -> KeptStep:
        function: Stepping = "update" if call.function == "update" else "step"
        results, _ = self._watched.left
        return KeptStep(
            function,
            call.batch,
            self._named(call.stored),
            call.scalars,
            call.seed,
            call.counters,
            results,
            self._left_digest(),
        )

    def _left_digest(self) -> str:
        results, memories = self._watched.left
        return digest(results, self._named(memories))

    def _blocks(self) -> dict[str, Block]:
        m = self.manifest
        return {
            "parameter": m.parameters,
            "state": m.states,
            "optimizer": m.optimizer,
            "gradient": m.gradients,
        }

    def _memories(self) -> dict[str, NDArray[np.uint8]]:
        one = self._executable
        blocks = (one.parameters, one.states, one.optimizer, one.gradients)
        return {space: b.memory for space, b in zip(self._blocks(), blocks, strict=True)}

    def _named(self, memories: Mapping[str, NDArray[np.uint8]]) -> dict[tuple[str, str], Array]:
        """The values in copies of blocks, by space and name."""
        return {
            (space, name): array
            for space, memory in memories.items()
            for name, array in views(self._blocks()[space], memory, self.dtype).items()
        }

    # -- internals of debugging ----------------------------------------------------------------

    def _called(self) -> Call:
        call = self._watched.last
        if call is None:
            raise UsageError("there are no values before the first call")
        if call.function == "update":
            raise UsageError("`update` passes no values through the net", "call `step` instead")
        return call

    def _names(self, call: Call) -> dict[str, str]:
        """Every name with the one that its value is kept under."""
        from netc.compiler.probed import nearest  # noqa: PLC0415 - loads the compiler

        model = self._program.model
        values = model.training if call.function in TRAINING else model.inference
        ports = (*model.inputs, *model.targets)
        return {**nearest(values.seen), **{port.name: port.name for port in ports}}

    def _all_values(self, call: Call) -> dict[str, Array]:
        """All values of a call, computed once."""
        if self._values is None or self._values[0] is not call:
            self._values = call, self._computed(call)
        return self._values[1]

    def _computed(self, call: Call) -> dict[str, Array]:
        """All values of a call, with their gradients if it had targets."""
        training = call.function in TRAINING
        targets = self._has_targets(call)
        if (training, targets) not in self._inside:
            self._inside[training, targets] = probed(self, training=training, targets=targets)
        inside = self._inside[training, targets]
        given = dict(call.batch.arrays)
        if not inside.manifest.outputs:
            return given
        _return_to(inside, call, self)
        found = inside.forward(dict(call.batch.arrays), training=True)
        if not isinstance(found, dict):
            found = {inside.manifest.outputs[0].name: found}
        return {**found, **given}

    def _inspected(self, call: Call) -> None:
        """Refuses a call with an index out of range."""
        if call.function == "update":
            return
        mode = call.function in TRAINING, self._has_targets(call)
        if mode not in self._indexing:
            self._indexing[mode] = self._checking(*mode)
        indices, inside = self._indexing[mode]
        if inside is None:
            return
        _return_to(inside, call, self)
        ports = inside.manifest.inputs
        missing = {p.name: np.zeros((call.batch.samples, *p.shape), self.dtype) for p in ports}
        found = inside.forward({**missing, **call.batch.arrays}, training=True)
        arrays = list(found.values()) if isinstance(found, dict) else [found]
        for index, array in zip(indices, arrays, strict=True):
            outside = (array != -1) & ~((array >= 0) & (array < index.size))
            if outside.any():
                raise DebugError(*misplaced(call, index, array, outside))

    def _checking(self, training: bool, targets: bool) -> tuple[list[Index], Model | None]:
        """The indices that a mode has to look at, and the model that computes them."""
        from netc.compiler.probed import checked_indices  # noqa: PLC0415 - loads the compiler

        found = checked_indices(self._program.model, training=training, targets=targets)
        if not found:
            return found, None
        return found, probed(self, training=training, targets=targets, indices=True)

    def _has_targets(self, call: Call) -> bool:
        return all(port.name in call.batch.arrays for port in self.manifest.targets)

    def _explained(self, call: Call, bad: Bad) -> DebugError:
        from netc.compiler.blame import blame  # noqa: PLC0415 - only for what went wrong

        program, env = self._program, self._environment(call)
        origins = program.provenance(call.function).origins
        found = blame(program.stages(call.function), origins, env, bad)
        return DebugError(*report(call, bad, found))

    def _environment(self, call: Call) -> Environment:
        """What a call was given, as the interpreter takes it."""
        from netc.compiler.ir.op import Environment  # noqa: PLC0415

        m, dtype, counters = self.manifest, self.dtype, call.counters
        blocks = {
            "parameter": m.parameters,
            "state": m.states,
            "optimizer": m.optimizer,
            "gradient": m.gradients,
        }
        values: dict[tuple[Any, str], Array] = {
            ("input", n): a for n, a in call.batch.arrays.items()
        }
        for space, memory in call.stored.items():
            found = views(blocks[space], memory, dtype)
            values |= {(space, n): a for n, a in found.items()}
        numbers = {**call.scalars, "objective": call.results[0]}
        for name in ("epoch", "steps", "epochs"):
            numbers[name] = getattr(counters, name)
        values |= {("scalar", n): np.asarray(v) for n, v in numbers.items()}
        return Environment(values, call.batch.samples, call.seed, counters.step)


def _return_to(inside: Model, call: Call, model: Model) -> None:
    """Gives a probed model what a call of its model was given."""
    m = model.manifest
    for values, block, space in (
        (inside.params, m.parameters, "parameter"),
        (inside.state, m.states, "state"),
    ):
        values.assign(views(block, call.stored[space], model.dtype))
    inside.scalars.update({n: v for n, v in call.scalars.items() if n in inside.scalars})
    inside.seed, inside.threads = call.seed, model.threads
    inside._executable.counters = replace(call.counters)
