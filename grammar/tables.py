"""The parser of `net.lark`, from tables kept in a file: reading them is ten times as fast.

Invariant: the file speeds up and decides nothing. Tables of another grammar or another release of
Lark and a damaged or missing file are passed over: the parser is then built from `net.lark`.
`python -m netc.grammar.tables` writes the file; it is JSON, and equal grammars give equal texts.
"""

from __future__ import annotations

import gzip
import json
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef
from lark.parsers.lalr_analysis import Reduce, Shift
from lark.parsers.lalr_parser import LALR_Parser

from netc.grammar.scanning import Lexers

GRAMMAR: Final = Path(__file__).with_name("net.lark")
TABLES: Final = Path(__file__).with_name("net.tables.json.gz")


def load_parser(tables: Path = TABLES) -> lark.Lark:
    """The parser, from the kept tables if they are those of this grammar and this Lark."""
    try:
        kept = json.loads(gzip.decompress(tables.read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error):
        return build_parser()
    if not isinstance(kept, dict) or kept.get("made from") != made_from():
        return build_parser()
    data, memo = kept["data"], dict(enumerate(kept["memo"]))
    data["options"]["_plugins"] = {"LALR_Parser": _Kept, "ContextualLexer": Lexers}
    return lark.Lark.load({"data": data, "memo": memo})


def build_parser(*, strict: bool = False) -> lark.Lark:
    """The parser, from the grammar; `strict` refuses conflicts and overlapping terminals."""
    return lark.Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start="file",
        keep_all_tokens=True,
        maybe_placeholders=True,
        strict=strict,
    )


def made_from() -> list[str]:
    """What tables depend on: Lark's release and the grammar."""
    return [lark.__version__, sha256(GRAMMAR.read_bytes()).hexdigest()]


def tables_text() -> str:
    """The tables of the grammar as JSON."""
    data, memo = build_parser().memo_serialize([TerminalDef, Rule])
    data["parser"]["parser"] = _compact(data["parser"]["parser"])
    kept = {"made from": made_from(), "data": data, "memo": [memo[n] for n in range(len(memo))]}
    return json.dumps(kept, separators=(",", ":"))


def _compact(table: dict[str, Any]) -> dict[str, Any]:
    """The table with its states numbered in one order: from the start on, by the tokens' names.

    A state is the number of the set of tokens that it accepts, and for each of them what to do: the
    state to go to, or -1 - n for the rule number n of the memo.
    """
    names, rows = table["tokens"], table["states"]
    tokens = sorted(names, key=names.__getitem__)
    queue = list(table["start_states"].values())
    found = {state: n for n, state in enumerate(queue)}
    sets: dict[tuple[int, ...], int] = {}
    states: list[list[int]] = []
    for state in queue:
        row = {n: rows[state][token] for n, token in enumerate(tokens) if token in rows[state]}
        for reduces, target in row.values():
            if not reduces and target not in found:
                found[target] = len(found)
                queue.append(target)
        todo = [-1 - t["@"] if reduces else found[t] for reduces, t in row.values()]
        states.append([sets.setdefault(tuple(row), len(sets)), *todo])
    return {
        "sets": [[names[tokens[n]] for n in numbers] for numbers in sets],
        "states": states,
        "start_states": {name: found[s] for name, s in table["start_states"].items()},
        "end_states": {name: found[s] for name, s in table["end_states"].items()},
    }


class _Kept(LALR_Parser):
    """A parser whose tables are compact: Lark's own way of reading them takes ten times as long.

    The type of `deserialize` is that of LALR_Parser, which is not that of its base.
    """

    @classmethod
    def deserialize(  # type: ignore[override]
        cls, data: dict[str, Any], memo: dict[int, Any], callbacks: object, debug: bool = False
    ) -> Self:
        kept = {**data, "tokens": {}, "states": {}}
        made: Self = super().deserialize(kept, memo, callbacks, debug)  # type: ignore[no-untyped-call]
        rules = {n: (Reduce, rule) for n, rule in memo.items() if isinstance(rule, Rule)}
        states: dict[Any, Any] = made._parse_table.states
        shifts = [(Shift, n) for n in range(len(data["states"]))]
        for state, (number, *row) in enumerate(data["states"]):
            todo = (shifts[n] if n >= 0 else rules[-1 - n] for n in row)
            states[state] = dict(zip(data["sets"][number], todo, strict=True))
        return made


if __name__ == "__main__":
    TABLES.write_bytes(gzip.compress(tables_text().encode(), mtime=0))
