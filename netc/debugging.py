"""A model that can be looked into after every call and says where a number went wrong.

It runs the same native functions as any model, so its numbers are the same to the last bit. What a
call was given is kept: named values are computed from it when they are read, and the origin of a
NaN is found by running it again in the interpreter.

Invariant: after a DebugError all values are those before the call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from netc.grammar.diagnostics import excerpt
from netc.model import Model, Outputs
from netc.probing import probed
from netc.runtime.arrays import single
from netc.runtime.errors import DebugError, UsageError, count, listing, suggestion
from netc.runtime.evaluate import outputs_of
from netc.runtime.watched import Watched, views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.blame import Blame, Operand
    from netc.compiler.driver import Program
    from netc.compiler.ir.op import Environment
    from netc.model import Defines
    from netc.runtime.arrays import Array
    from netc.runtime.executable import Executable
    from netc.runtime.watched import Bad, Call

TRAINING: Final = ("forward", "backward", "update", "step")
"""Functions that see the net in training mode."""


class DebugModel(Model):
    """A model compiled with `debug=True`."""

    _EXECUTABLE: ClassVar[type[Executable]] = Watched

    def __init__(
        self, program: Program, *, defines: Defines, seed: int | None, threads: int
    ) -> None:
        super().__init__(program, defines=defines, seed=seed, threads=threads)
        self._watched.explain = self._explained
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
        call = self._watched.last
        if call is None:
            raise UsageError("there are no values before the first call")
        if call.function == "update":
            raise UsageError("`update` passes no values through the net", "call `step` instead")
        if self._values is None or self._values[0] is not call:
            self._values = call, self._computed(call)
        values = self._values[1]
        names = self._names(call)
        if name not in names or names[name] not in values:
            known = [n for n, kept in names.items() if kept in values]
            if name in names:
                raise UsageError(f"`{name}` depends on a target, and the last call had none")
            raise UsageError(f"there is no value `{name}`", suggestion(name, known))
        return values[names[name]].copy()

    def _names(self, call: Call) -> dict[str, str]:
        """Every name with the one that its value is kept under."""
        from netc.compiler.probed import nearest  # noqa: PLC0415 - loads the compiler

        model = self._program.model
        values = model.training if call.function in TRAINING else model.inference
        ports = (*model.inputs, *model.targets)
        return {**nearest(values.seen), **{port.name: port.name for port in ports}}

    def _computed(self, call: Call) -> dict[str, Array]:
        """All values of a call, with their gradients if it had targets."""
        training = call.function in TRAINING
        ports = self.manifest.targets
        targets = all(port.name in call.batch.arrays for port in ports)
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

    def _explained(self, call: Call, bad: Bad) -> DebugError:
        from netc.compiler.blame import blame  # noqa: PLC0415 - only for what went wrong

        stages, env = self._program.stages(call.function), self._environment(call)
        found = blame(stages, self._program.model, env, bad)
        return DebugError(*_report(call, bad, found))

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


# -- the report ------------------------------------------------------------------------------------


def _report(call: Call, bad: Bad, found: Blame | None) -> tuple[str, str, dict[str, object]]:
    """Message, help and facts of a call whose results are not finite."""
    when = f"step {call.counters.step}" if call.function in TRAINING else f"`{call.function}`"
    results = listing_of(bad)
    facts: dict[str, object] = {
        "function": call.function,
        "step": call.counters.step,
        "results": [f"{space} {name}" for space, name in bad],
    }
    if found is None:
        head = f"{when}: {results} became NaN or infinite"
        return (
            head,
            "the reference interpreter gets finite numbers: a difference in rounding",
            facts,
        )
    facts |= _facts(found)
    lines = [f"{when}: {_what(found)}"]
    if found.span is not None:
        near = "the nearest place: the operation is of a derivative or a rewrite"
        near = near if found.near else "here"
        lines.append(excerpt(found.span, near))
    lines += [f"{label:<10}{text}" for label, text in _details(call, results, found) if text]
    return "\n".join(lines), "", facts


def _what(found: Blame) -> str:
    if found.given:
        return f"{found.given} holds {found.value}"
    return f"`{found.operation}` made {found.value} of finite numbers"


def _details(call: Call, results: str, found: Blame) -> list[tuple[str, str]]:
    place = [] if found.sample is None else [f"sample {found.sample}"]
    if found.element:
        place.append(f"element [{', '.join(map(str, found.element))}]")
    share = f"{found.count:,} of {count(found.size, 'number')} like it"
    kernel = f", kernel {found.kernel}" if found.kernel else ""
    return [
        ("at", ", ".join([*place, share])),
        ("operands", "; ".join(map(_operand, found.operands))),
        ("operation", found.line),
        ("function", f"{call.function}{kernel}"),
        ("reached", results),
    ]


def _operand(one: Operand) -> str:
    if one.count == 1:
        return f"{one.name} = {one.least:.9g}"
    return f"{one.name}: {one.count:,} numbers from {one.least:.6g} to {one.most:.6g}"


def _facts(found: Blame) -> dict[str, object]:
    return {
        "place": None if found.span is None else str(found.span),
        "near": found.near,
        "kernel": found.kernel,
        "operation": found.operation,
        "node": found.line,
        "sample": found.sample,
        "element": list(found.element),
        "value": found.value,
        "operands": {one.name: [one.least, one.most] for one in found.operands},
    }


def listing_of(bad: Sequence[tuple[str, str]]) -> str:
    """Results by space and name, those of the first space."""
    space = bad[0][0]
    names = [name for other, name in bad if other == space]
    return f"{space} {listing(names)}"
