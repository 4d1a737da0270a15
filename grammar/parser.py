"""From text to tree: `parse` reads a whole `.net` text.

Invariant: whatever the text, the result is a tree or a `CompileError` with one diagnostic.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from netc.grammar.build import build
from netc.grammar.diagnostics import CompileError, Failure
from netc.grammar.slips import unexpected, unreadable

if TYPE_CHECKING:
    from lark import Lark, ParseTree, Token

    from netc.grammar.source import Source
    from netc.grammar.tree import File

RESERVED: Final = frozenset(
    {"input", "target", "param", "state", "output", "loss", "penalty", "metric", "assert", "const"}
    | {"layer", "fn", "init", "optimizer", "net", "train", "import", "if", "then", "else", "return"}
    | {"and", "or", "not", "true", "false", "training", "repeat", "freeze"}
)

_NUMBER: Final = re.compile(r"\d+(_\d+)*(\.\d+(_\d+)*)?([eE][+-]?\d+)?", re.ASCII)


def parse(source: Source) -> File:
    """The tree of a text.

    Raises:
        CompileError: the text does not follow the grammar; it holds one diagnostic.
    """
    try:
        return build(_concrete(source), source)
    except Failure as failure:
        raise CompileError((failure.diagnostic,)) from None


def concrete(source: Source) -> ParseTree:
    """Lark's tree of a text with every token, for tools that must reproduce the text.

    Raises:
        CompileError: the text does not follow the grammar.
    """
    try:
        return _concrete(source)
    except Failure as failure:
        raise CompileError((failure.diagnostic,)) from None


def _concrete(source: Source) -> ParseTree:
    from lark import Token, UnexpectedCharacters, UnexpectedToken  # noqa: PLC0415 (costly: on first use)

    reader: Any = _lark().parse_interactive(source.text)  # typed in part only
    before: list[Token] = []
    try:
        for word in reader.lexer_thread.lex(reader.parser_state):
            named = word.type == "GRADIENT" and "GRADIENT" not in reader.accepts()
            token = Token.new_borrow_pos("NAME", word, word) if named else word
            if not _permitted(token):
                raise Failure(unexpected(source, token, before, _accepts(reader.accepts())))
            reader.feed_token(token)
            before.append(token)
        return cast("ParseTree", reader.feed_eof(before[-1] if before else None))
    except UnexpectedCharacters as error:
        raise Failure(unreadable(source, error.pos_in_stream or 0)) from None
    except UnexpectedToken as error:
        raise Failure(unexpected(source, error.token, before, _accepts(reader.accepts()))) from None


def _accepts(terminals: set[str]) -> frozenset[str]:
    """Terminals as readers know them: the text of fixed ones, the name of the others."""
    patterns = {t.name: t.pattern for t in _lark().terminals}
    return frozenset(
        str(patterns[name].value) if name in patterns and patterns[name].type == "str" else name
        for name in terminals
    )


@cache
def _lark() -> Lark:
    """The parser, made at first use: importing Lark is not free."""
    from netc.grammar.tables import load_parser  # noqa: PLC0415 (costly: on first use)

    return load_parser()


def _permitted(token: Token) -> bool:
    """Whether a name is no reserved word and made of letters for names, a number well formed."""
    match token.type:
        case "NAME":
            return token not in RESERVED and unicodedata.normalize("NFC", token).isidentifier()
        case "NUMBER":
            return _NUMBER.fullmatch(token) is not None
        case _:
            return True
