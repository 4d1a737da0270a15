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
from typing import Any, Final

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

GRAMMAR: Final = Path(__file__).with_name("net.lark")
TABLES: Final = Path(__file__).with_name("net.tables.json.gz")


def load_parser(tables: Path = TABLES) -> lark.Lark:
    """The parser, from the kept tables if they are those of this grammar and this Lark."""
    try:
        kept = json.loads(gzip.decompress(tables.read_bytes()), object_pairs_hook=_with_numbers)
    except (OSError, EOFError, ValueError, zlib.error):
        return build_parser()
    if not isinstance(kept, dict) or kept.get("made from") != made_from():
        return build_parser()
    return lark.Lark.load(kept)


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
    data["parser"]["parser"] = _in_order(data["parser"]["parser"])
    kept = {"made from": made_from(), "data": data, "memo": memo}
    return json.dumps(kept, separators=(",", ":"))


def _in_order(table: dict[str, Any]) -> dict[str, Any]:
    """The table with its states numbered in one order: from the start on, by the tokens' names."""
    names, rows = table["tokens"], table["states"]
    tokens = sorted(names, key=names.__getitem__)
    queue = list(table["start_states"].values())
    found = {state: n for n, state in enumerate(queue)}
    states: dict[int, dict[int, tuple[int, Any]]] = {}
    for state in queue:
        row = {n: rows[state][token] for n, token in enumerate(tokens) if token in rows[state]}
        for reduces, target in row.values():
            if not reduces and target not in found:
                found[target] = len(found)
                queue.append(target)
        states[found[state]] = {n: (r, t if r else found[t]) for n, (r, t) in row.items()}
    return {
        "tokens": {n: names[token] for n, token in enumerate(tokens)},
        "states": states,
        "start_states": {name: found[s] for name, s in table["start_states"].items()},
        "end_states": {name: found[s] for name, s in table["end_states"].items()},
    }


def _with_numbers(pairs: list[tuple[str, Any]]) -> dict[str | int, Any]:
    """A JSON object whose numeric keys are numbers again."""
    return {int(key) if key.isdecimal() else key: value for key, value in pairs}


if __name__ == "__main__":
    TABLES.write_bytes(gzip.compress(tables_text().encode(), mtime=0))
