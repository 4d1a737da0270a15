"""What an expression can be worth while a net is elaborated.

Invariant: numbers, strings, lists and shapes are known now (Python values); a `Tensor` is a graph
node whose value is known when the net runs; callables are never values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.compiler.elaborate.scope import Module, Scope
    from netc.compiler.ir.graph import Node
    from netc.grammar.source import Span
    from netc.grammar.tree import Definition, Expr

Number = int | float


@record
class Tensor:
    """A graph node; `classes` is K for labels 0…K-1, `missing` tells that -1 stands for unknown."""

    node: Node
    classes: int | None = None
    missing: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.type.shape


@record
class Group:
    """Several parameters that count as one concatenated vector; elementwise operations distribute.

    `pattern` is what selected them, for reports.
    """

    parts: tuple[Node, ...]
    pattern: str

    @property
    def size(self) -> int:
        return sum(part.type.size for part in self.parts)


Known = bool | int | float | str | tuple["Known", ...]
Value = Known | Tensor | Group


@record
class Operand:
    """A value with the text it came from, and where that text's name was bound."""

    value: Value
    span: Span
    declared: Span | None = None


@record
class Chain:
    """Stages that wait for a tensor: each application evaluates the text again in its own scope."""

    expression: Expr
    scope: Scope


@record
class Instance:
    """`layer enc = …`: a chain with one set of parameters, under the name `name`.

    A broken one has been reported.
    """

    name: str
    chain: Chain
    broken: bool = False


@record
class Deferred:
    """An initialiser that waits for the shape of its parameter."""

    expression: Expr
    scope: Scope


@record
class Closure:
    """A definition with the module whose text it stands in."""

    definition: Definition
    module: Module


@record
class Primitive:
    """An operation that the compiler itself knows.

    `parameters` are its names in order, those of `defaults` may be left out, those of `chains`
    are taken as text that waits for a tensor. A `rest` primitive takes any number of tensors after
    its parameters.
    """

    name: str
    parameters: tuple[str, ...]
    build: Callable[[Use], Value]
    doc: str
    defaults: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    rest: bool = False


Callable_ = Closure | Primitive | Chain | Instance | Deferred


@record
class Use:
    """One call of a primitive: where it stands and its bound arguments."""

    name: str
    scope: Scope
    span: Span
    arguments: Mapping[str, Operand]
    chains: Mapping[str, Callable_]
    rest: tuple[Operand, ...] = ()

    def get(self, name: str) -> Operand | None:
        return self.arguments.get(name)


def is_number(value: object) -> TypeGuard[Number]:
    """Whether `value` is a compile-time number (a boolean is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_known(value: Value) -> TypeGuard[Known]:
    return not isinstance(value, Tensor | Group)


def show_shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def show(value: Value) -> str:
    """A value as a report names it: a literal, or its shape."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(show, value))}]"
        case Tensor():
            return f"a value of shape {show_shape(value.shape)}"
        case Group():
            return f"the parameters {value.pattern}"
