"""The derivative of the objective by one value, by the chain rule over the named values of a net.

Invariant: a step is the derivative of one named value by another, taken by the compiler's own rules
from the graph that the text means; formulas are those of one sample, and the objective is their
mean plus the penalties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.derive.reverse import filled, gradients, pullback
from netc.compiler.ir.graph import Graph, Output, toposort
from netc.compiler.ops.custom import placeholder, substituted
from netc.compiler.ops.reduce import BatchReduce, lift
from netc.compiler.ops.source import Source, source
from netc.compiler.passes.pipeline import BEFORE_DERIVATIVES, run
from netc.compiler.probed import seen_once
from netc.derivation.algebra import (
    Call,
    Product,
    Sum,
    Symbol,
    Term,
    add,
    atom,
    expanded,
    inverse,
    number,
    replaced,
    scale,
    symbol,
    times,
)
from netc.derivation.notation import TEXT
from netc.derivation.reading import read
from netc.records import record
from netc.runtime.errors import UsageError, suggestion

if TYPE_CHECKING:
    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Node
    from netc.derivation.algebra import Atom
    from netc.grammar.source import Span

LOSS: Final = "ℓ"
LONGEST: Final = 90
"""Characters of a derivative that is written out where it is used; a longer one keeps its name."""

READABLE: Final = 40
"""How many values may lie between the objective and the variable."""


@record
class Definition:
    """A named value: its formula over the values before it."""

    name: str
    formula: Sum
    span: Span | None


@record
class Step:
    """∂ℓ/∂name: by the chain rule, then with what is known put in and simplified."""

    name: str
    chain: Sum
    simplified: Sum
    span: Span | None


@record
class Derivation:
    """`total` is the mean over samples of ∂ℓ/∂variable; `penalty` what penalties add to it."""

    variable: str
    shape: tuple[int, ...]
    definitions: tuple[Definition, ...]
    steps: tuple[Step, ...]
    sample: Sum
    penalty: Sum
    per_sample: bool


def derivation(model: Model, variable: str) -> Derivation:
    """The derivative of the objective in training mode by a parameter, a binding or an input.

    Raises UsageError for an unknown name, a net without loss, and a net whose samples interact.
    """
    return _Derivation(model, variable).result()


class _Derivation:
    """The graph cut at the named values, each a variable for those that use it."""

    def __init__(self, model: Model, variable: str) -> None:
        if model.training.loss is None:
            help_ = "add a line such as `loss squared_error(y, t)`"
            raise UsageError(f"net `{model.name}` has no loss to derive", help_)
        self.model, self.variable = model, variable
        loss = model.training.loss
        reached = set(toposort([loss]))
        named = {one.name: one for one in seen_once(model.training.seen)}
        sources = _sources(model)
        if variable not in named and variable not in sources:
            known = [*sources, *named]
            raise UsageError(f"there is no `{variable}` to derive by", suggestion(variable, known))
        seen = {name: one for name, one in named.items() if one.node in reached}
        self.spans = {one.name: one.span for one in model.training.seen}
        self.nodes = {name: one.node for name, one in seen.items()}
        target = sources[variable] if variable in sources else named[variable].node
        if target not in reached:
            raise UsageError(f"the loss does not depend on `{variable}`")
        self.nodes[variable] = target
        self._check(loss)
        self.leaves = {n: placeholder(f"leaf {n}", lift(v).type) for n, v in self.nodes.items()}
        self.short = _short(model)
        self.formulas = {**self.nodes, LOSS: loss}
        self.bodies = {n: self._body(v) for n, v in self.formulas.items() if n not in sources}
        self.others = {
            one.name: self._body(one.node)
            for one in seen_once(model.training.seen)
            if one.node not in reached
        }
        nodes = {one.name: one.node for one in model.training.seen} | self.formulas
        order = {node: i for i, node in enumerate(toposort([*nodes.values()]))}
        self.place = {name: order[node] for name, node in nodes.items()}

    def _check(self, loss: Node) -> None:
        """Raises the UsageError of formulas that are not those of a sample, or beyond reading."""
        active = {self.nodes[self.variable]}
        for node in toposort([loss]):
            if active.intersection(node.args):
                active.add(node)
        if any(isinstance(node.op, BatchReduce) for node in active):
            raise UsageError(
                "samples depend on each other here: there is no formula of one sample",
                "batch statistics such as `batch_norm` do that; derive by a value after them",
            )
        if len(self.nodes) > READABLE:
            raise UsageError(
                f"{len(self.nodes)} named values are too many to read (at most {READABLE})",
                "derive by a value nearer to the loss",
            )

    def _body(self, node: Node) -> Node:
        """A value over the variables of those before it, in the form that has derivatives."""
        replaced_ = {v: self.leaves[n] for n, v in self.nodes.items() if v is not node}
        (body,) = substituted([node], replaced_)
        return _simplified(body, len(BEFORE_DERIVATIVES))

    def result(self) -> Derivation:
        definitions = [
            Definition(n, simplest(self._read(body)), self.spans.get(n))
            for n, body in {**self.others, **self.bodies}.items()
        ]
        known = {
            d.formula.terms[0].factors[0][0]: symbol(d.name)
            for d in definitions
            if d.name != LOSS and _is_atom(d.formula)
        }
        definitions = [d for d in definitions if d.name not in self.others or _is_atom(d.formula)]
        definitions.sort(key=lambda d: self.place[d.name])
        order = sorted(self._dependent(), key=lambda name: self.place[name])
        steps: list[Step] = []
        inside: dict[Atom, Sum] = {}
        for name in reversed(order):
            chain = replaced(replaced(self._chain(name), _picking), known.get)
            full = simplest(replaced(replaced(chain, inside.get), known.get))
            steps.append(Step(name, chain, full, self.spans.get(name)))
            if len(TEXT.sum(full)) <= LONGEST:
                inside[Symbol(self._shown(name), derivative=True)] = full
        last = steps[-1]
        source_ = self.nodes[self.variable]
        return Derivation(
            self._shown(self.variable),
            source_.type.shape,
            tuple(definitions),
            tuple(steps),
            last.simplified,
            self._penalty(),
            source_.type.batched,
        )

    def _dependent(self) -> set[str]:
        """The named values that depend on the variable, itself included."""
        target = self.nodes[self.variable]
        return {n for n, node in self.nodes.items() if target in set(toposort([node]))}

    def _chain(self, name: str) -> Sum:
        """∂ℓ/∂name from the derivatives by the values that are made of it."""
        leaf, parts = self.leaves[name], []
        for user, body in self.bodies.items():
            if user == name or leaf not in set(toposort([body])):
                continue
            cotangent = filled(1.0, body) if user == LOSS else placeholder(f"by {user}", body.type)
            (pulled,) = pullback(body, cotangent, [leaf])
            if pulled is not None:
                parts.append(self._read(_simplified(pulled, 1)))
        return add(*parts)

    def _read(self, node: Node) -> Sum:
        names = {self.leaves[n]: symbol(self._shown(n)) for n in self.nodes}
        for user, body in self.bodies.items():
            by = Symbol(self._shown(user), derivative=True)
            names[placeholder(f"by {user}", body.type)] = atom(by)
        for name, short in self.short.items():
            names[_parameter(self.model, name)] = symbol(short)
        return read(node, names)

    def _shown(self, name: str) -> str:
        return self.short.get(name, name)

    def _penalty(self) -> Sum:
        """What the penalties add: nothing for what is no parameter."""
        node, total = self.nodes[self.variable], self.model.training.penalty
        if total is None or not isinstance(node.op, Source) or node.type.batched:
            return Sum(())
        if node not in set(toposort([total])):
            return Sum(())
        (slope,) = gradients(total, [node])
        return simplest(self._read(_simplified(slope, 2)))


def transposed(a: Sum) -> Sum | None:
    """The transpose of an outer product x dᵀ, which many books write: d xᵀ; None for all else."""
    match a.terms:
        case (Term(value, ((Product(left, right, False, True), 1),)),):
            return scale(value, atom(Product(right, left, False, True)))
        case _:
            return None


def simplest(a: Sum) -> Sum:
    """The shortest of a formula as it is and multiplied out."""
    inner = picked(replaced(a, _picking))
    return min((inner, picked(expanded(inner))), key=lambda one: len(TEXT.sum(one)))


def _picking(one: Atom) -> Sum | None:
    """The sum of what a one-hot code leaves is the element that it picks."""
    match one:
        case Call("Σ", (Sum((term,)),), ""):
            codes = [f for f, n in term.factors if isinstance(f, Call) and f.name == "onehot"]
            if len(codes) != 1:
                return None
            (label,) = codes[0].args
            result = number(term.number)
            for factor, power in term.factors:
                if factor is not codes[0]:
                    result = times(result, _power(_element(factor, label), power))
            return result
        case _:
            return None


def _element(one: Atom, label: Sum) -> Sum:
    """An element of a factor; what is one number for each sample is its own."""
    single = isinstance(one, Call) and one.name in ("Σ", "index", "logsumexp", "max", "min")
    return atom(one) if single else atom(Call("index", (atom(one), label)))


def _power(a: Sum, power: int) -> Sum:
    result = number(1.0)
    for _ in range(abs(power)):
        result = times(result, a if power > 0 else inverse(a))
    return result


def picked(a: Sum) -> Sum:
    """Beside a one-hot code of a label, x[label] is x."""
    parts = []
    for term in a.terms:
        labels = {f.args[0] for f, _ in term.factors if isinstance(f, Call) and f.name == "onehot"}
        whole = number(term.number)
        for factor, power in term.factors:
            match factor:
                case Call("index", (inner, label), _) if label in labels:
                    whole = times(whole, _power(inner, power))
                case _:
                    whole = times(whole, _power(atom(factor), power))
        parts.append(whole)
    return add(*parts)


def _is_atom(a: Sum) -> bool:
    """Whether a formula is one function of something."""
    match a.terms:
        case (term,):
            return term.number == 1 and len(term.factors) == 1 and term.factors[0][1] == 1
        case _:
            return False


def _simplified(node: Node, passes: int) -> Node:
    graph = Graph("derived", (Output("output", "y", node),))
    return run(graph, passes=BEFORE_DERIVATIVES[:passes]).roots[0]


def _sources(model: Model) -> dict[str, Node]:
    """Parameters and inputs by their names."""
    found = {p.name: _parameter(model, p.name) for p in model.parameters}
    for port in model.inputs:
        found[port.name] = source("input", port.name, port.shape, True, model.precision)
    return found


def _parameter(model: Model, name: str) -> Node:
    shape = next(p.shape for p in model.parameters if p.name == name)
    return source("parameter", name, shape, False, model.precision)


def _short(model: Model) -> dict[str, str]:
    """Parameters by the last part of their names, where that is no other name's."""
    taken = [p.name.rsplit(".", 1)[-1] for p in model.parameters]
    taken += [port.name for port in (*model.inputs, *model.targets)]
    taken += [one.name for one in model.training.seen]
    last = {p.name: p.name.rsplit(".", 1)[-1] for p in model.parameters}
    return {name: (word if taken.count(word) == 1 else name) for name, word in last.items()}
