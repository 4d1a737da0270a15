"""The kept tables are those of the grammar, and nothing depends on them."""

import gzip
import json
from pathlib import Path

import lark
import pytest

from netc.grammar import tables

TEXT = "net N { input x: [3]; y = x |> dense(2, bias=true) output y loss y'[0] * -2^2 }"


def kept() -> str:
    return gzip.decompress(tables.TABLES.read_bytes()).decode()


def test_tables_are_those_of_the_grammar():
    release, _ = json.loads(kept())["made from"]
    if release != lark.__version__:
        pytest.skip(f"the tables were made by Lark {release}")
    assert kept() == tables.tables_text(), "python -m netc.grammar.tables writes new ones"


def test_both_parsers_read_alike():
    loaded, built = tables.load_parser(), tables.build_parser()
    assert loaded.parse(TEXT) == built.parse(TEXT)
    for end in range(0, len(TEXT), 7):
        accepted = [p.parse_interactive(TEXT[:end]) for p in (loaded, built)]
        for reader in accepted:
            reader.exhaust_lexer()
        assert accepted[0].accepts() == accepted[1].accepts()


def test_current_tables_are_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "build_parser", lambda: pytest.fail("built"))
    text = json.loads(kept())
    if text["made from"] == tables.made_from():
        tables.load_parser()


def damaged() -> list[bytes]:
    whole = tables.TABLES.read_bytes()
    text = json.loads(kept())
    text["made from"][1] = "0" * 64
    stale = gzip.compress(json.dumps(text).encode())
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    return [b"", b"{}", whole[:middle], flipped, gzip.compress(b"[]"), gzip.compress(b"{"), stale]


@pytest.mark.parametrize("content", damaged())
def test_other_files_are_passed_over(content: bytes, tmp_path: Path):
    path = tmp_path / "tables"
    path.write_bytes(content)
    assert tables.load_parser(path).parse(TEXT) == tables.build_parser().parse(TEXT)


def test_no_file_is_needed(tmp_path: Path):
    assert tables.load_parser(tmp_path / "none").parse(TEXT) == tables.build_parser().parse(TEXT)
