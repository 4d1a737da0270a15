"""From a token that does not fit to a diagnostic: found, expected, and the likely slip.

Invariant: what could stand at a place comes from the parser's own state, never from a list by hand:
literal texts such as `(` and `then`, and the names `NAME`, `NUMBER`, `STRING` and `$END`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netc.grammar.diagnostics import Diagnostic, Related
from netc.grammar.mistakes import (
    MalformedNumber,
    ReservedWord,
    SyntaxMistake,
    UnexpectedCharacter,
    UnterminatedString,
)
from netc.grammar.source import Source, Span

if TYPE_CHECKING:
    from lark import Token

END: Final = "$END"

_COMPARATORS: Final = frozenset({"<", "<=", ">", ">=", "==", "!="})
_OPERATORS: Final = _COMPARATORS | frozenset("+-*/@^'[(.") | {"|>", "->", "and", "or"}
_VALUES: Final = frozenset(
    {"NAME", "NUMBER", "STRING", "(", "[", "-", "not", "if", "true", "false", "training"}
) | {"init", "repeat", "loss", "penalty"}
_STATEMENTS: Final = frozenset(
    {"NAME", "input", "target", "param", "state", "output", "loss", "penalty", "metric", "assert"}
    | {"const", "layer", "if", "return"}
)
_ITEMS: Final = frozenset({"import", "const", "fn", "layer", "init", "optimizer", "net", "train"})

_CLOSERS: Final = {")": "(", "]": "[", "}": "{"}

# What people write who come from another language, longest first where one contains another.
_SLIPS: Final = (
    (":=", "bind a name with `=`"),
    ("+=", "write `x = x + …`"),
    ("-=", "write `x = x - …`"),
    ("*=", "write `x = x * …`"),
    ("/=", "write `x = x / …`"),
    ("**", "a power is written `^`"),
    ("==", "`==` compares; a statement binds its name with one `=`"),
    ("=>", "a function of one argument is written `i -> e`"),
    ("//", "a comment starts with `#`"),
    ("/*", "a comment starts with `#` and ends with its line"),
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("|", "a pipe is written `|>`, a logical or `or`"),
    ("&", "write `and`"),
    ("!", "write `not`"),
    ("%", "the remainder of a by b is `a - b * floor(a / b)`"),
    ("?", "write `if c then a else b`, or `where(c, a, b)` for data"),
    ("`", 'a string stands between `"`'),
    ("−", "write the ASCII minus `-`"),
    ("·", "write `*`"),
    ("×", "write `*`"),
    ("≤", "write `<=`"),
    ("≥", "write `>=`"),
    ("≠", "write `!=`"),
    ("²", "write `^2`"),
    ("³", "write `^3`"),
    ("“", 'a string stands between ASCII quotes `"`'),
    ("”", 'a string stands between ASCII quotes `"`'),
)
_WORDS: Final = {
    "elif": "write `else if`",
    "elseif": "write `else if`",
    "def": "a function is declared with `fn`",
    "function": "a function is declared with `fn`",
    "func": "a function is declared with `fn`",
    "let": "a binding is written `name = value`",
    "var": "a binding is written `name = value`",
    "model": "a net is declared with `net`",
    "for": "repeat a chain with `repeat(n, chain)`",
    "lambda": "a function of one argument is written `i -> e`",
}

_KEYWORDS: Final = {
    "loss": "write `loss value`, without `=`",
    "penalty": "write `penalty value`, without `=`",
    "assert": "write `assert condition`, without `=`",
    "return": "write `return value`, without `=`",
    "output": "write `output name = value`",
    "metric": "write `metric name = value`",
    "if": "`if` is a reserved word and cannot be bound",
}


def unexpected(
    source: Source, token: Token, before: list[Token], accepts: frozenset[str]
) -> Diagnostic:
    """The diagnostic for a token that cannot follow the tokens `before`, where `accepts` could."""
    if accepts == {"."} and before and before[-1] in {"loss", "penalty"}:
        # Taken for the head of a path because a value is missing before it.
        token, before, accepts = before[-1], before[:-1], _VALUES
    end = token.type == END
    span = _after(source, before) if end else _span(source, token)
    if token.type == "NUMBER" and "NUMBER" in accepts:
        hint = _number_hint(str(token))
        return MalformedNumber(span=span, number=str(token), hint=hint)
    if token.type == "NAME" and "NAME" in accepts:
        stray = next((i for i, c in enumerate(token) if not _in_name(c)), None)
        if stray is not None:
            return unreadable(source, span.start + stray)
        if _meant_as_name(source, token, before, accepts):
            return ReservedWord(span=span, word=str(token))
    slip = None if end else _slip_at(source, span.start, len(token))
    span, hint = slip or (span, _hint(source, token, before, accepts))
    if _starts_where_an_operator_fits(source, before, accepts):
        name = before[-1]
        return SyntaxMistake(
            span=_span(source, name),
            found=f"`{name}`",
            expected="an operator",
            hint=f"put `|>` or another operator before `{name}`",
        )
    return SyntaxMistake(
        span=span,
        found="end of the text" if end else f"`{span.text}`",
        expected=expectation(accepts),
        hint=hint,
        related=_opener(source, token, before, accepts),
    )


def unreadable(source: Source, offset: int) -> Diagnostic:
    """The diagnostic for a character that begins no token."""
    character = source.text[offset]
    span = Span(source, offset, offset + 1)
    if character == '"':
        line_end = source.text.find("\n", offset)
        end = len(source.text) if line_end < 0 else line_end
        return UnterminatedString(span=Span(source, offset, end))
    shown = character if character.isprintable() else "?"
    code = f"U+{ord(character):04X}"
    slip = _slip_at(source, offset, 0)
    hint = slip[1] if slip else ""
    return UnexpectedCharacter(span=span, character=shown, code=code, hint=hint)


def expectation(accepts: frozenset[str]) -> str:
    """What could stand here, in words: "an operator or `)`"."""
    left = set(accepts) - {";"}
    words: list[str] = []
    if {"then", "freeze"} <= left:
        # Every reserved word is accepted: a name inside parentheses or in a path.
        words.append("an argument" if "NUMBER" in left else "a name")
        left = {t for t in left - _VALUES if not t.isalpha()}
    if "NUMBER" in left:
        words.append("a value")
        left -= _VALUES
    if "*" in left:
        words.append("an operator")
        left -= _OPERATORS
    if {"param", "return"} <= left:
        words.append("a statement")
        left -= _STATEMENTS
    if {"import", "fn"} <= left:
        words.append("a declaration such as `const`, `fn`, `layer`, `net` or `train`")
        left -= _ITEMS | {END}
    names = {"NAME": "a name", "STRING": "a string", END: "the end of the text"}
    words += sorted(names.get(t) or f"`{t}`" for t in left)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _starts_where_an_operator_fits(
    source: Source, before: list[Token], accepts: frozenset[str]
) -> bool:
    """Whether the last name began a statement right after a value on its line, and no further."""
    if accepts != {"=", "<-"} or len(before) < 2:
        return False
    value, name = before[-2:]
    return value not in {"{", "}", ";"} and name not in _WORDS and _same_line(source, value, name)


def _slip_at(source: Source, offset: int, read: int) -> tuple[Span, str] | None:
    """An operator of another language at this place, longer than what was read, and the remedy."""
    for literal, advice in _SLIPS:
        if len(literal) <= read:
            continue
        for start in range(offset, max(-1, offset - len(literal)), -1):
            if source.text.startswith(literal, start):
                return Span(source, start, start + len(literal)), advice
    return None


def _hint(source: Source, token: Token, before: list[Token], accepts: frozenset[str]) -> str:
    previous = str(before[-1]) if before else ""
    if advice := _WORDS.get(str(token)) or _WORDS.get(previous):
        return advice
    operator = "and" in accepts
    if token == "(" and accepts == {"=", "<-"}:
        return "a call is no statement: bind its value, or put `|>` before it to continue a pipe"
    if token in _COMPARATORS and operator:
        return "comparisons do not chain: write `a < b and b < c`"
    if token == "=":
        return "`==` compares; `=` binds a name" if operator else _KEYWORDS.get(previous, "")
    if token == "'" and "STRING" in accepts:
        return 'a string stands between `"`'
    if token == "." and "NUMBER" in accepts:
        return "a number starts with a digit: `0.5`"
    if token == "." and before and before[-1].type == "NUMBER":
        return f"a number ends with a digit: `{previous}.0`"
    return ""


def _number_hint(text: str) -> str:
    product = re.fullmatch(r"([0-9.]+)([^\W\d_]\w*)", text)
    if product and not re.fullmatch(r"[eE]|[xXbBoO]\w+", product[2]):
        return f"write a product with `*`: `{product[1]} * {product[2]}`"
    return ""


def _meant_as_name(
    source: Source, token: Token, before: list[Token], accepts: frozenset[str]
) -> bool:
    """Whether a reserved word stands where its author wanted a name, not a misplaced statement."""
    if "NUMBER" in accepts:
        return bool(before) and _same_line(source, before[-1], token)
    if "return" in accepts:
        return bool(re.match(r"\s*(=(?!=)|<-)", source.text[token.end_pos :]))
    return True


def _opener(
    source: Source, token: Token, before: list[Token], accepts: frozenset[str]
) -> tuple[Related, ...]:
    """The open bracket that a wrong closer or the end of the text leaves without its partner."""
    misplaced_item = token in _ITEMS and "}" in accepts
    if not (token.type == END or token in _CLOSERS or accepts & {")", "]"} or misplaced_item):
        return ()
    open_: list[Token] = []
    for t in before:
        if t in _CLOSERS.values():
            open_.append(t)
        elif t in _CLOSERS:
            open_.pop()
    if not open_:
        return ()
    return (Related(_span(source, open_[-1]), f"this `{open_[-1]}` is open"),)


def _in_name(character: str) -> bool:
    return f"a{character}".isidentifier()


def _same_line(source: Source, first: Token, second: Token) -> bool:
    return "\n" not in source.text[first.end_pos : second.start_pos]


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start_pos or 0, token.end_pos or 0)


def _after(source: Source, before: list[Token]) -> Span:
    """The place just after the last token."""
    end = before[-1].end_pos or 0 if before else 0
    return Span(source, end, end)
