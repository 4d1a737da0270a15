"""From Lark's concrete tree to the dataclasses of `tree`.

Invariant: one method per rule of `net.lark`, with the rule's children as arguments.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from netc.grammar import tree
from netc.grammar.comments import docs
from netc.grammar.diagnostics import Failure
from netc.grammar.fold import fold, span_of
from netc.grammar.mistakes import NumberOutOfRange, UnknownEscape
from netc.grammar.source import Source, Span
from netc.records import record

if TYPE_CHECKING:
    from lark import ParseTree, Token

Part = Any
"""A child of a rule: a `Token`, something built, or None for an optional part left out."""

_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}


def build(root: ParseTree, source: Source) -> tree.File:
    """The syntax tree of a concrete tree that was read from `source`.

    Raises:
        Failure: a number or string has no value, or the text is nested too deeply.
    """
    return cast("tree.File", fold(root, source, _Builder(source)))


@record(eq=False)
class _Group(tree.Tree):
    """Several parts between brackets, on their way into their owner."""

    items: tuple[Any, ...]


def _nodes(children: tuple[Part, ...]) -> tuple[Any, ...]:
    """The children that were built: without tokens and without what was left out."""
    return tuple(c for c in children if c is not None and not isinstance(c, str))


class _Builder:
    """The methods that make one node each."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.docs = docs(source)

    # -- spans and names ---------------------------------------------------------------------------

    def at(self, part: Part) -> Span:
        """The span of a token or of something built."""
        if isinstance(part, tree.Tree):
            return part.span
        return span_of(self.source, part)

    def over(self, children: tuple[Part, ...]) -> Span:
        """The span from the first child to the last one present."""
        present = [c for c in children if c is not None]
        return self.at(present[0]).to(self.at(present[-1]))

    def ident(self, token: Token) -> tree.Ident:
        return tree.Ident(self.at(token), unicodedata.normalize("NFC", token.value))

    def doc(self, span: Span) -> str | None:
        return self.docs.get(span.start)

    # -- items -------------------------------------------------------------------------------------

    def file(self, *children: Part) -> tree.File:
        return tree.File(Span(self.source, 0, len(self.source.text)), self.source, _nodes(children))

    def import_item(self, *c: Part) -> tree.Import:
        return tree.Import(self.over(c), c[1])

    def const(self, *c: Part) -> tree.Const:
        span = self.over(c)
        return tree.Const(span, self.ident(c[1]), c[3], self.doc(span))

    def definition(self, *c: Part) -> tree.Definition:
        kind, name, parameters, body, gradient = c
        span = self.over(c)
        statements = body.items if isinstance(body, _Group) else (body,)
        return tree.Definition(
            span,
            kind.value,
            self.ident(name),
            parameters.items,
            statements,
            gradient,
            self.doc(span),
        )

    def equation(self, _equals: Token, value: tree.Expr) -> tree.Return:
        return tree.Return(value.span, value)

    def gradient(self, *c: Part) -> tree.Gradient:
        return tree.Gradient(self.over(c), self.ident(c[2]), _nodes(c[5:]))

    def parameters(self, *c: Part) -> _Group:
        return _Group(self.over(c), _nodes(c))

    def parameter(self, *c: Part) -> tree.Parameter:
        name, _, annotation, _, default = c
        shape = annotation if isinstance(annotation, tree.Shape) else None
        kind = None if annotation is None or shape else annotation.value
        return tree.Parameter(self.over(c), name, shape, kind, default)

    def kind(self, token: Token) -> Token:
        return token

    def net(self, *c: Part) -> tree.Net:
        span = self.over(c)
        return tree.Net(span, self.ident(c[1]), c[2].items, self.doc(span))

    def train(self, *c: Part) -> tree.Train:
        span = self.over(c)
        return tree.Train(span, _nodes(c), self.doc(span))

    def setting(self, *c: Part) -> tree.Setting:
        name, _, group, _, _, value = c
        return tree.Setting(self.over(c), self.ident(name), group, value)

    def freeze(self, *c: Part) -> tree.Freeze:
        return tree.Freeze(self.over(c), c[2])

    # -- statements --------------------------------------------------------------------------------

    def block(self, *c: Part) -> _Group:
        return _Group(self.over(c), _nodes(c))

    def binding(self, *c: Part) -> tree.Binding:
        return tree.Binding(self.over(c), self.ident(c[0]), c[2])

    def assign(self, *c: Part) -> tree.Assign:
        return tree.Assign(self.over(c), self.ident(c[0]), c[2])

    def param(self, *c: Part) -> tree.Param:
        _, name, _, shape, _, value = c
        return tree.Param(self.over(c), self.ident(name), shape, value)

    def state(self, *c: Part) -> tree.State:
        _, name, _, shape, _, value = c
        return tree.State(self.over(c), self.ident(name), shape, value)

    def return_(self, *c: Part) -> tree.Return:
        return tree.Return(self.over(c), c[1])

    def if_block(self, *c: Part) -> tree.IfBlock:
        _, condition, then, _, otherwise = c
        match otherwise:
            case None:
                rest: tuple[Any, ...] = ()
            case tree.IfBlock():
                rest = (otherwise,)
            case _:
                rest = otherwise.items
        return tree.IfBlock(self.over(c), condition, then.items, rest)

    def port(self, *c: Part) -> tree.Port:
        role, name, _, kind = c
        return tree.Port(self.over(c), role.value, self.ident(name), kind)

    def port_type(self, kind: Part, missing: Token | None) -> tree.PortType:
        span = self.over((kind, missing))
        if isinstance(kind, tree.Shape):
            return tree.PortType(span, "real", None, kind, missing is not None)
        return replace(cast("tree.PortType", kind), span=span, missing=missing is not None)

    def class_type(self, *c: Part) -> tree.PortType:
        return self._labels("class", c, c[2], c[4])

    def int_type(self, *c: Part) -> tree.PortType:
        return self._labels("int", c, None, c[1])

    def _labels(
        self, kind: Literal["class", "int"], c: tuple[Part, ...], classes: Part, shape: Part
    ) -> tree.PortType:
        span = self.over(c)
        scalar = tree.Shape(Span(self.source, span.end, span.end), ())
        return tree.PortType(span, kind, classes, shape or scalar, False)

    def instance(self, *c: Part) -> tree.Instance:
        return tree.Instance(self.over(c), self.ident(c[1]), c[3])

    def output(self, *c: Part) -> tree.Output:
        return tree.Output(self.over(c), self.ident(c[1]), c[3])

    def loss(self, *c: Part) -> tree.Loss:
        return tree.Loss(self.over(c), c[1])

    def penalty(self, *c: Part) -> tree.Penalty:
        return tree.Penalty(self.over(c), c[1])

    def metric(self, *c: Part) -> tree.Metric:
        return tree.Metric(self.over(c), self.ident(c[1]), c[3])

    def assert_(self, *c: Part) -> tree.Assert:
        return tree.Assert(self.over(c), c[1])

    def shape(self, *c: Part) -> tree.Shape:
        return tree.Shape(self.over(c), _nodes(c))

    def rest(self, token: Token) -> tree.Rest:
        return tree.Rest(self.at(token))

    # -- expressions -------------------------------------------------------------------------------

    def lambda_(self, *c: Part) -> tree.Lambda:
        return tree.Lambda(self.over(c), self.ident(c[0]), c[2])

    def conditional(self, *c: Part) -> tree.If:
        return tree.If(self.over(c), c[1], c[3], c[5])

    def pipe(self, *c: Part) -> tree.Pipe:
        return tree.Pipe(self.over(c), c[::2])

    def _operation(self, *c: Part) -> tree.Operation:
        operators = [tree.Operator(self.at(token), token.value) for token in c[1::2]]
        rest = tuple(zip(operators, c[2::2], strict=True))
        return tree.Operation(self.over(c), c[0], rest)

    disjunction = conjunction = sum = product = _operation

    def not_(self, *c: Part) -> tree.Not:
        return tree.Not(self.over(c), c[1])

    def comparison(self, *c: Part) -> tree.Compare:
        left, operator, right = c
        return tree.Compare(self.over(c), operator.value, left, right)

    def negate(self, *c: Part) -> tree.Negate:
        return tree.Negate(self.over(c), c[1])

    def power(self, *c: Part) -> tree.Power:
        return tree.Power(self.over(c), c[0], c[2])

    def transpose(self, *c: Part) -> tree.Transpose:
        return tree.Transpose(self.over(c), c[0])

    def index(self, *c: Part) -> tree.Index:
        return tree.Index(self.over(c), c[0], _nodes(c[2:]))

    def slice(self, *c: Part) -> tree.Slice:
        return tree.Slice(self.over(c), c[0], c[2])

    def name(self, token: Token) -> tree.Name:
        ident = self.ident(token)
        return tree.Name(ident.span, ident.name)

    def member(self, *c: Part) -> tree.Member:
        return tree.Member(self.over(c), (self.ident(c[0]), *c[2::2]))

    def call(self, *c: Part) -> tree.Call:
        return tree.Call(self.over(c), self.ident(c[0]), c[1].items)

    def arguments(self, *c: Part) -> _Group:
        return _Group(self.over(c), _nodes(c))

    def argument(self, *c: Part) -> tree.Argument:
        return tree.Argument(self.over(c), c[0], c[2])

    def list_of(self, *c: Part) -> tree.ListOf:
        return tree.ListOf(self.over(c), _nodes(c))

    def grouped(self, *c: Part) -> tree.Expr:
        """The expression itself; its span grows by the parentheses."""
        return cast("tree.Expr", replace(c[1], span=self.over(c)))

    def boolean(self, token: Token) -> tree.Boolean:
        return tree.Boolean(self.at(token), token == "true")

    def training(self, token: Token) -> tree.Training:
        return tree.Training(self.at(token))

    def number(self, token: Token) -> tree.Number:
        span = self.at(token)
        digits = token.replace("_", "")
        value = float(digits)
        if math.isinf(value):
            raise Failure(NumberOutOfRange(span=span))
        return tree.Number(span, int(digits) if digits.isdigit() else value)

    def string(self, token: Token) -> tree.String:
        for match in _ESCAPE.finditer(token):
            if match[1] not in _ESCAPES:
                start = token.start_pos or 0
                span = Span(self.source, start + match.start(), start + match.end())
                raise Failure(UnknownEscape(span=span, escape=match[0]))
        return tree.String(self.at(token), _ESCAPE.sub(lambda m: _ESCAPES[m[1]], token.value[1:-1]))

    def word(self, token: Token) -> tree.Ident:
        return self.ident(token)
