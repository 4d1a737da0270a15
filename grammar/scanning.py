"""Lexers that share one scanner: what the parser accepts is asked after a match, not before.

Invariant: the tokens are those of Lark's contextual lexer. That one compiles a regular expression
for each set of terminals a state may accept, and there are a hundred. Here a token is looked for
among all terminals first. If the state accepts what is found, so it would have found it itself: its
own terminals stand in the same order, and none before that one matches. If not, it looks itself.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from lark.lexer import BasicLexer, ContextualLexer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lark.common import LexerConf
    from lark.utils import TextSlice


class Lexers(ContextualLexer):
    """A lexer for each state, made when the parser first comes there."""

    def __init__(
        self,
        conf: LexerConf,
        states: Mapping[int, Collection[str]],
        always_accept: Collection[str] = (),
    ) -> None:
        self.root_lexer = BasicLexer(conf)
        self.lexers = _ByState(conf, self.root_lexer, states, always_accept)


class _ByState(dict[int, Any]):
    """The lexers by state; states that accept the same share one."""

    def __init__(
        self,
        conf: LexerConf,
        root: BasicLexer,
        states: Mapping[int, Collection[str]],
        always: Collection[str],
    ) -> None:
        super().__init__()
        self._conf, self._root, self._states = conf, root, states
        self._always = frozenset(conf.ignore) | frozenset(always)
        self._made: dict[frozenset[str], _Lexer] = {}

    def __missing__(self, state: int) -> _Lexer:
        accepted = self._always.union(self._states[state])
        if accepted not in self._made:
            self._made[accepted] = _Lexer(self._conf, self._root, accepted)
        found = self[state] = self._made[accepted]
        return found


class _Lexer(BasicLexer):
    """The lexer of states that accept the same terminals."""

    def __init__(self, conf: LexerConf, root: BasicLexer, accepted: frozenset[str]) -> None:
        own = copy(conf)
        own.terminals = [conf.terminals_by_name[n] for n in accepted if n in conf.terminals_by_name]
        super().__init__(own)
        self.callback = {}  # until it has a scanner of its own
        self._all, self._accepted = root.scanner, accepted
        inside = set(root.terminals) - set(root.scanner.terminals)  # words that are names too
        self._words = {t.pattern.value: t.name for t in inside if t.name in accepted}
        self._names = root.callback.keys()

    def match(self, text: TextSlice[str], pos: int) -> tuple[str, str] | None:
        found = self._all.match(text, pos)
        if found is not None:
            value, name = found
            if name in self._names:
                name = self._words.get(value, name)
            if name in self._accepted:
                return value, name
        own: tuple[str, str] | None = super().match(text, pos)  # type: ignore[no-untyped-call]
        return own
