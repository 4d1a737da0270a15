"""The syntax tree: what the user wrote, as frozen dataclasses with spans.

Invariant: every node has the span of its text; the tree holds no resolved names, shapes or types.
Sums, products and pipes are flat sequences, so a chain of 1,000 stages is one node.
Equality is identity: two equal texts at two places are two nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from netc.records import record

if TYPE_CHECKING:
    from netc.grammar.source import Source, Span


@record(eq=False)
class Tree:
    """Anything with a place in the text."""

    span: Span


@record(eq=False)
class Ident(Tree):
    """A name where it is declared, or an argument's name; in Unicode's normal form C."""

    name: str


# -- expressions ---------------------------------------------------------------------------------


@record(eq=False)
class Number(Tree):
    """`1`, `0.5`, `1e-3`, `1_000`; `value` is an int if the text has no point and no exponent."""

    value: int | float


@record(eq=False)
class String(Tree):
    """`"same"`, without the quotes and with escapes resolved."""

    value: str


@record(eq=False)
class Boolean(Tree):
    """`true` or `false`."""

    value: bool


@record(eq=False)
class Name(Tree):
    """A use of a name; of the reserved words only `init` can be one, a parameter called so."""

    name: str


@record(eq=False)
class Training(Tree):
    """The keyword `training`."""


@record(eq=False)
class Member(Tree):
    """`enc.dense.W`: a path of two or more names."""

    path: tuple[Ident, ...]


@record(eq=False)
class Argument(Tree):
    """One argument of a call: positional when `name` is None."""

    name: Ident | None
    value: Expr


@record(eq=False)
class Call(Tree):
    """`f(a, key=b)`; the callee is always a plain name."""

    callee: Ident
    arguments: tuple[Argument, ...]


@record(eq=False)
class Negate(Tree):
    """`-x`."""

    operand: Expr


@record(eq=False)
class Not(Tree):
    """`not x`."""

    operand: Expr


@record(eq=False)
class Operation(Tree):
    """A flat left-associative run: `first (operator operand)*`, all of one precedence level.

    Levels: `+ -`, then `* / @`, then `and`, then `or`.
    """

    first: Expr
    rest: tuple[tuple[Operator, Expr], ...]


@record(eq=False)
class Operator(Tree):
    """The operator between two operands of an `Operation`."""

    symbol: Literal["+", "-", "*", "/", "@", "and", "or"]


@record(eq=False)
class Compare(Tree):
    """`a < b`; comparisons do not chain."""

    operator: Literal["<", "<=", ">", ">=", "==", "!="]
    left: Expr
    right: Expr


@record(eq=False)
class Power(Tree):
    """`base ^ exponent`, right-associative."""

    base: Expr
    exponent: Expr


@record(eq=False)
class Transpose(Tree):
    """`a'`."""

    operand: Expr


@record(eq=False)
class Slice(Tree):
    """`lo:hi` in an index; either end may be missing."""

    start: Expr | None
    stop: Expr | None


@record(eq=False)
class Rest(Tree):
    """`..` in an index or a shape pattern: any number of axes."""


@record(eq=False)
class Index(Tree):
    """`x[1, 2:3, ..]`."""

    operand: Expr
    items: tuple[Expr | Slice | Rest, ...]


@record(eq=False)
class ListOf(Tree):
    """`[a, b, c]` or `[]`: a constant tensor, a stack, or a shape where a shape is expected."""

    items: tuple[Expr, ...]


@record(eq=False)
class Pipe(Tree):
    """`x |> f |> g(1)`: the first stage is a value (in a chain: a stage), the others are stages."""

    stages: tuple[Expr, ...]


@record(eq=False)
class If(Tree):
    """`if c then a else b`, decided at compile time."""

    condition: Expr
    then: Expr
    otherwise: Expr


@record(eq=False)
class Lambda(Tree):
    """`i -> e`."""

    parameter: Ident
    body: Expr


Expr = (
    Number
    | String
    | Boolean
    | Name
    | Training
    | Member
    | Call
    | Negate
    | Not
    | Operation
    | Compare
    | Power
    | Transpose
    | Index
    | ListOf
    | Pipe
    | If
    | Lambda
)


# -- shapes and types in declarations --------------------------------------------------------------


@record(eq=False)
class Shape(Tree):
    """`[n]`, `[c, h, w]`, `[.., n]`: sizes are expressions; in a header a bare name binds."""

    axes: tuple[Expr | Rest, ...]


@record(eq=False)
class PortType(Tree):
    """Type of an input or target: `[784]`, `class[10]`, `class[10][n]`, `int[3]`, or `missing`."""

    kind: Literal["real", "class", "int"]
    classes: Expr | None
    shape: Shape
    missing: bool


# -- statements ------------------------------------------------------------------------------------


@record(eq=False)
class Binding(Tree):
    """`y = e`."""

    name: Ident
    value: Expr


@record(eq=False)
class Param(Tree):
    """`param W: [n, units] = init`; `shape` is None for a scalar, `value` None for the default."""

    name: Ident
    shape: Shape | None
    value: Expr | None


@record(eq=False)
class State(Tree):
    """`state s: shape = value`."""

    name: Ident
    shape: Shape | None
    value: Expr


@record(eq=False)
class Assign(Tree):
    """`s <- e`."""

    name: Ident
    value: Expr


@record(eq=False)
class Return(Tree):
    """`return e`."""

    value: Expr


@record(eq=False)
class IfBlock(Tree):
    """`if c { … } else { … }`, decided at compile time; opens no scope."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@record(eq=False)
class Port(Tree):
    """`input x: [784]` or `target t: class[10]`."""

    role: Literal["input", "target"]
    name: Ident
    type: PortType


@record(eq=False)
class Instance(Tree):
    """`layer enc = dense(64) |> relu`: one instance with one set of parameters."""

    name: Ident
    chain: Expr


@record(eq=False)
class Output(Tree):
    """`output p = e`; with `output p` the name is also the value."""

    name: Ident
    value: Expr | None


@record(eq=False)
class Loss(Tree):
    """`loss e`."""

    value: Expr


@record(eq=False)
class Penalty(Tree):
    """`penalty e`."""

    value: Expr


@record(eq=False)
class Metric(Tree):
    """`metric accuracy = e`."""

    name: Ident
    value: Expr


@record(eq=False)
class Assert(Tree):
    """`assert e`."""

    value: Expr


# -- items -----------------------------------------------------------------------------------------


@record(eq=False)
class Import(Tree):
    """`import "other.net"`."""

    path: String


@record(eq=False)
class Const(Tree):
    """`const classes = 10`, at top level or in a block."""

    name: Ident
    value: Expr
    doc: str | None


@record(eq=False)
class Parameter(Tree):
    """A parameter in the header of `fn`, `layer`, `init`, `optimizer`.

    `kind` None is a value, with an optional shape pattern.
    """

    name: Ident
    shape: Shape | None
    kind: Literal["layer", "init", "fn"] | None
    default: Expr | None


@record(eq=False)
class Gradient(Tree):
    """`gradient(g) = e1, e2`: one cotangent for each argument."""

    cotangent: Ident
    values: tuple[Expr, ...]


@record(eq=False)
class Definition(Tree):
    """`fn`, `layer`, `init` or `optimizer`. `fn f(x) = e` has the body `return e`."""

    kind: Literal["fn", "layer", "init", "optimizer"]
    name: Ident
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    gradient: Gradient | None
    doc: str | None


@record(eq=False)
class Net(Tree):
    """`net Name { … }`."""

    name: Ident
    body: tuple[Statement, ...]
    doc: str | None


@record(eq=False)
class Setting(Tree):
    """`batch = 64`, or `optimizer("enc.*") = …` with a group."""

    name: Ident
    group: String | None
    value: Expr


@record(eq=False)
class Freeze(Tree):
    """`freeze("enc.*")`."""

    group: String


@record(eq=False)
class Train(Tree):
    """`train { … }`."""

    entries: tuple[Setting | Freeze, ...]
    doc: str | None


Statement = (
    Binding
    | Const
    | Param
    | State
    | Assign
    | Return
    | IfBlock
    | Port
    | Instance
    | Output
    | Loss
    | Penalty
    | Metric
    | Assert
)
Item = Import | Const | Definition | Net | Train


@record(eq=False)
class File(Tree):
    """A whole text."""

    source: Source
    items: tuple[Item, ...]
