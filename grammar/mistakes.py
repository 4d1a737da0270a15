"""The kinds of mistake that reading a text can find: one per text, at the first offending place."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class SyntaxMistake(Diagnostic):
    """The text does not follow the grammar at this place.

    The report lists what could stand here. The mistake is often just before the marked place:
    an operator, a `|>` or a closing bracket left out.
    """

    slug: ClassVar[str] = "syntax-error"
    title: ClassVar[str] = "unexpected {found}"
    label: ClassVar[str] = "expected {expected}"
    help: ClassVar[str] = "{hint}"

    found: str
    expected: str
    hint: str = ""


class UnexpectedCharacter(Diagnostic):
    """A character that is part of no word, number or operator of the language.

    Names are made of letters, digits and `_` of any script; all operators are ASCII.
    """

    slug: ClassVar[str] = "unexpected-character"
    title: ClassVar[str] = "unexpected character `{character}` ({code})"
    label: ClassVar[str] = "it has no meaning here"
    help: ClassVar[str] = "{hint}"

    character: str
    code: str
    hint: str = ""


class UnterminatedString(Diagnostic):
    """A string must end on the line where it begins."""

    slug: ClassVar[str] = "unterminated-string"
    title: ClassVar[str] = "string without an end"
    label: ClassVar[str] = "it begins here"
    help: ClassVar[str] = 'close it with `"` on the same line'


class UnknownEscape(Diagnostic):
    r"""Strings know the escapes `\"`, `\\`, `\n` and `\t` and no others."""

    slug: ClassVar[str] = "unknown-escape"
    title: ClassVar[str] = "unknown escape `{escape}` in a string"
    label: ClassVar[str] = 'the escapes are `\\"`, `\\\\`, `\\n` and `\\t`'
    help: ClassVar[str] = "write `\\\\` for a backslash"

    escape: str


class MalformedNumber(Diagnostic):
    """A number is digits, then perhaps a point and digits, then perhaps an exponent.

    `_` may stand between two digits: `1`, `0.5`, `1e-3`, `1_000`. There is no hexadecimal form, and
    a product needs its `*`.
    """

    slug: ClassVar[str] = "malformed-number"
    title: ClassVar[str] = "malformed number `{number}`"
    label: ClassVar[str] = "expected a number such as `12`, `0.5` or `1e-3`"
    help: ClassVar[str] = "{hint}"

    number: str
    hint: str = ""


class NumberOutOfRange(Diagnostic):
    """A number must be finite in double precision, at most about 1.8e308."""

    slug: ClassVar[str] = "number-out-of-range"
    title: ClassVar[str] = "number too large"
    label: ClassVar[str] = "larger than any double-precision number"


class ReservedWord(Diagnostic):
    """A word of the language cannot name a value, a callable or a net.

    Reserved words may name parameters and arguments inside parentheses, as in
    `dense(10, init=zeros)`, and the parts of a path after its first point. Of these parameters only
    `init` can be used as a value.
    """

    slug: ClassVar[str] = "reserved-word"
    title: ClassVar[str] = "`{word}` is a reserved word"
    label: ClassVar[str] = "it cannot be a name here"
    help: ClassVar[str] = "choose another name, for example `{word}_`"

    word: str


class NestedTooDeep(Diagnostic):
    """Expressions or blocks are nested in one another more than about a hundred levels deep.

    Long sums, products and pipes are not nesting: they may have any length.
    """

    slug: ClassVar[str] = "nested-too-deep"
    title: ClassVar[str] = "nested too deeply"
    label: ClassVar[str] = "too many levels around this"
    help: ClassVar[str] = "give an inner part a name of its own, or write nested calls as a pipe"
