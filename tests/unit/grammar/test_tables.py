"""The kept tables are those of the grammar, and nothing depends on them."""

import gzip
import json
import re
from pathlib import Path

import lark
import pytest

from netc.grammar import tables

ROOT = Path(__file__).parents[3]
TEXT = "net N { input x: [3]; y = x |> dense(2, bias=true) output y loss y'[0] * -2^2 }"


def kept() -> str:
    return gzip.decompress(tables.TABLES.read_bytes()).decode()


def test_tables_are_those_of_the_grammar():
    release, _ = json.loads(kept())["made from"]
    if release != lark.__version__:
        pytest.skip(f"the tables were made by Lark {release}")
    assert kept() == tables.tables_text(), "python -m netc.grammar.tables writes new ones"


def tokens(parser: lark.Lark, text: str) -> list[tuple[str, str, int | None]]:
    """What the parser's lexer finds, with the mistake at its end if there is one."""
    reader, found = parser.parse_interactive(text), []
    try:
        found.extend((t.type, str(t), t.start_pos) for t in reader.iter_parse())
    except lark.UnexpectedCharacters as error:
        found.append(("unreadable", str(sorted(error.allowed)), error.pos_in_stream))
    except lark.UnexpectedToken as error:
        found.append(("unexpected", f"{error.token.type} {error.token}", error.pos_in_stream))
    return found


@pytest.fixture(scope="module")
def both() -> tuple[lark.Lark, lark.Lark]:
    return tables.load_parser(), tables.build_parser()


@pytest.mark.parametrize("folder", ["grammar/prelude", "examples"])
def test_both_lexers_find_the_same(folder: str, both: tuple[lark.Lark, lark.Lark]):
    for path in sorted((ROOT / folder).glob("*.net")):
        text = path.read_text(encoding="utf-8")
        assert tokens(both[0], text) == tokens(both[1], text)


def test_both_lexers_find_the_same_in_texts_with_a_slip(both: tuple[lark.Lark, lark.Lark]):
    """Names that begin with words of the language, words for names, and symbols out of place."""
    words = {str(t.pattern.value) for t in both[1].terminals if t.pattern.type == "str"}
    slips = sorted(words) + [f"{w}x" for w in words if w.isalpha()] + ["1e5x", "$", '"', "1..", "é"]
    places = [match.start() for match in re.finditer(r"\b", TEXT)]
    for n, slip in enumerate(slips):
        for place in places[n % 3 :: 3]:
            text = f"{TEXT[:place]} {slip}{TEXT[place:]}"
            assert tokens(both[0], text) == tokens(both[1], text), text


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
    packed = [gzip.compress(text, mtime=0) for text in (b"[]", b"{")]
    return [b"", b"{}", whole[:middle], flipped, *packed, stale]


@pytest.mark.parametrize("content", damaged())
def test_other_files_are_passed_over(content: bytes, tmp_path: Path):
    path = tmp_path / "tables"
    path.write_bytes(content)
    assert tables.load_parser(path).parse(TEXT) == tables.build_parser().parse(TEXT)


def test_no_file_is_needed(tmp_path: Path):
    assert tables.load_parser(tmp_path / "none").parse(TEXT) == tables.build_parser().parse(TEXT)
