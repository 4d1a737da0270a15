"""The grammar file itself."""

from lark import Lark

from netc.grammar.parser import GRAMMAR, RESERVED


def strict(text: str) -> Lark:
    return Lark(
        text, parser="lalr", lexer="contextual", start="file", keep_all_tokens=True, strict=True
    )


def test_has_no_conflicts_and_no_overlapping_terminals():
    strict(GRAMMAR.read_text(encoding="utf-8"))


def test_word_lists_every_reserved_word():
    lark = strict(GRAMMAR.read_text(encoding="utf-8"))
    texts = {t.name: t.pattern.value for t in lark.terminals}
    words = {texts[r.expansion[0].name] for r in lark.rules if r.origin.name == "word"}
    assert words - {texts["NAME"]} == RESERVED


def test_every_rule_is_introduced_by_a_comment():
    for block in GRAMMAR.read_text(encoding="utf-8").split("\n\n"):
        assert block.strip().startswith("//"), block
