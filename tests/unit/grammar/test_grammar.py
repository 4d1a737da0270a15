"""The grammar file itself."""

from netc.grammar.parser import RESERVED
from netc.grammar.tables import GRAMMAR, build_parser


def test_has_no_conflicts_and_no_overlapping_terminals():
    build_parser(strict=True)


def test_word_lists_every_reserved_word():
    lark = build_parser()
    texts = {t.name: t.pattern.value for t in lark.terminals}
    words = {texts[r.expansion[0].name] for r in lark.rules if r.origin.name == "word"}
    assert words - {texts["NAME"]} == RESERVED


def test_every_rule_is_introduced_by_a_comment():
    for block in GRAMMAR.read_text(encoding="utf-8").split("\n\n"):
        assert block.strip().startswith("//"), block
