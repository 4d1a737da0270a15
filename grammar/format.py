"""The canonical form of a text: same tokens and comments, spaces and line breaks chosen anew.

Invariant: only spaces, line breaks, `;` and commas before a closing bracket change, so the meaning
cannot; the form depends on tokens, comments and blank lines between statements alone, so formatting
twice is formatting once.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, cast

from netc.grammar.comments import blank_between, comments, own_line
from netc.grammar.diagnostics import CompileError, Failure
from netc.grammar.fold import first_token, fold
from netc.grammar.layout import Comment, Doc, Group, HardLine, Line, Nest, layout
from netc.grammar.parser import concrete

if TYPE_CHECKING:
    from lark import ParseTree, Token

    from netc.grammar.source import Source, Span
    from netc.grammar.tree import File

_BLOCKS: Final = frozenset({"file", "block", "train"})
_SOFT: Final = Line("")

Part = Any
"""A child of a rule: a `Token`, a finished `Doc` (never a bare `str`), or None if left out."""


def format_source(source: Source) -> str:
    """The canonical form of a text.

    Raises:
        CompileError: the text does not follow the grammar.
    """
    root = concrete(source)
    try:
        return layout(fold(root, source, _Formatter(_Trivia(source, root))))
    except Failure as failure:
        raise CompileError((failure.diagnostic,)) from None


def format_file(file: File) -> str:
    """The canonical form of the text that a tree was read from."""
    return format_source(file.source)


class _Trivia:
    """What stands between tokens: the comments before each, and which tokens start a line."""

    def __init__(self, source: Source, root: ParseTree) -> None:
        self.text = source.text
        starts, ends, self.statements = _tokens(root)
        self.before: dict[int, list[Span]] = {}
        for comment in comments(source):
            index = bisect_left(starts, comment.start)
            key = starts[index] if index < len(starts) else len(self.text)
            self.before.setdefault(key, []).append(comment)
        self.previous_end = dict(zip([*starts, len(self.text)], [0, *ends], strict=True))

    def lines(self, start: int) -> Doc:
        """The comments before a token as lines of a block."""
        parts: list[Doc] = []
        end = self.previous_end[start]
        for span in self.before.get(start, []):
            parts += [self._break(end, span.start), Comment(span.text, not own_line(span))]
            end = span.end
        return tuple(parts)

    def token(self, token: Token) -> Doc:
        """A token after its comments; the first one of a statement starts a line."""
        start = token.start_pos or 0
        spans = self.before.get(start, [])
        if start in self.statements:
            end = spans[-1].end if spans else self.previous_end[start]
            return (self.lines(start), self._break(end, start), str(token))
        return (self.comments(token), str(token))

    def comments(self, token: Token) -> Doc:
        """The comments before a token, inside a statement."""
        spans = self.before.get(token.start_pos or 0, [])
        return tuple(Comment(s.text, not own_line(s)) for s in spans)

    def _break(self, end: int, start: int) -> HardLine:
        return HardLine(blank_between(self.text[end:start]))


def _tokens(root: ParseTree) -> tuple[list[int], list[int], set[int]]:
    """Starts and ends of all tokens but `;`, and the starts of those that begin a statement."""
    starts: list[int] = []
    ends: list[int] = []
    statements: set[int] = set()
    todo: list[Part] = [root]
    while todo:
        part = todo.pop()
        if part is None:
            continue
        if isinstance(part, str):
            token = cast("Token", part)
            if token != ";":
                starts.append(token.start_pos or 0)
                ends.append(token.end_pos or 0)
            continue
        todo.extend(reversed(part.children))
        if part.data in _BLOCKS:
            inner = [c for c in part.children if c is not None and not isinstance(c, str)]
            statements.update(first_token(c).start_pos or 0 for c in inner)
    return starts, ends, statements


class _Formatter:
    """One method per rule of `net.lark`, from the layouts of its children to its own."""

    def __init__(self, trivia: _Trivia) -> None:
        self.trivia = trivia

    def of(self, part: Part) -> Doc:
        """The layout of a child."""
        return self.trivia.token(cast("Token", part)) if isinstance(part, str) else part

    def tight(self, *c: Part) -> Doc:
        """The children with nothing between them."""
        return tuple(self.of(p) for p in c if p is not None)

    def spaced(self, *c: Part) -> Doc:
        """The children with a space between them."""
        parts = [self.of(p) for p in c if p is not None]
        return tuple(d for part in parts for d in (" ", part))[1:]

    def typed(self, *c: Part) -> Doc:
        """`name: type = value`, each part after the name being optional."""
        parts: list[Doc] = []
        for part in c:
            if part is not None:
                joint = [] if not parts or part == ":" else [" "]
                parts += [*joint, self.of(part)]
        return tuple(parts)

    def run(self, *c: Part) -> Doc:
        """Operands and operators in turn; where it is too long, a line for each operator."""
        rest = [
            (Line(), self.of(operator), " ", self.of(operand))
            for operator, operand in zip(c[1::2], c[2::2], strict=True)
        ]
        return Group((self.of(c[0]), Nest(tuple(rest))))

    def bracketed(self, *c: Part) -> Doc:
        """Items between brackets; where too long a line of their own, or one for each."""
        opener, *inner, closer = (p for p in c if p is not None)
        parts: list[Doc] = []
        comma: Part = None
        for part in inner:
            if isinstance(part, str) and part == ",":
                comma = part
            else:
                parts += [self.of(comma), Line()] if comma else []
                parts.append(self.of(part))
                comma = None
        last = self.trivia.comments(comma) if comma else ()
        inside = (*parts, last, self.trivia.comments(closer))
        body = (Nest((_SOFT, Group(inside))), _SOFT) if inside != ((), ()) else ()
        return Group((self.of(opener), body, str(closer)))

    def block(self, *c: Part) -> Doc:
        opener, *inner, closer = c
        lines = [self.of(p) for p in inner if not isinstance(p, str)]
        tail = self.trivia.lines(closer.start_pos)
        if not lines and not tail:
            return self.tight(opener, closer)
        return (self.of(opener), Nest((*lines, tail)), HardLine(), str(closer))

    def file(self, *c: Part) -> Doc:
        items = [self.of(p) for p in c if not isinstance(p, str)]
        return (*items, self.trivia.lines(len(self.trivia.text)))

    def definition(self, *c: Part) -> Doc:
        kind, name, parameters, body, gradient = c
        tail = () if gradient is None else Nest((Line(), gradient))
        return (self.spaced(kind, self.tight(name, parameters)), " ", Group((body, tail)))

    def index(self, *c: Part) -> Doc:
        return (self.of(c[0]), self.bracketed(*c[1:]))

    def equation(self, *c: Part) -> Doc:
        equals, value = c
        return Group((self.of(equals), Nest((Line(), self.of(value)))))

    def train(self, *c: Part) -> Doc:
        return self.spaced(c[0], self.block(*c[1:]))

    def setting(self, *c: Part) -> Doc:
        return self.spaced(self.tight(*c[:4]), *c[4:])

    def gradient(self, *c: Part) -> Doc:
        values = [
            (self.of(comma), " ", self.of(e)) for comma, e in zip(c[6::2], c[7::2], strict=True)
        ]
        return (self.spaced(self.tight(*c[:4]), *c[4:6]), *values)

    def conditional(self, *c: Part) -> Doc:
        branches = [self.spaced(*c[i : i + 2]) for i in (2, 4)]
        return Group((self.spaced(*c[:2]), Nest(tuple((Line(), b) for b in branches))))

    pipe = disjunction = conjunction = comparison = sum = product = run
    parameters = arguments = shape = list_of = grouped = bracketed
    parameter = param = state = port = typed
    freeze = int_type = argument = slice = member = call = class_type = tight
    negate = power = transpose = kind = rest = name = word = tight
    number = string = boolean = training = tight
    import_item = const = net = if_block = port_type = instance = spaced
    binding = assign = return_ = output = loss = penalty = metric = assert_ = spaced
    lambda_ = not_ = spaced
