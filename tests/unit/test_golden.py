"""The golden harness itself: what a case is, and that an update rewrites only what is shown."""

from pathlib import Path

import pytest

from tests.golden_cases import actual, read_cases, rewrite

TEXT = """# Title

## first

Prose.

```net
## A doc comment, no heading.
const a=1
```

```fmt
wrong
```

## second

```net
const b = 1
```

```ast
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "cases.md"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_cases_are_sections_outside_of_blocks(page):
    assert [case.name for case in read_cases(page)] == ["first", "second"]


def test_a_wrong_block_differs(page):
    first, _ = read_cases(page)
    (block,) = first.expectations()
    assert block.text == "wrong\n"
    assert actual(first, block) == "## A doc comment, no heading.\nconst a = 1\n"


def test_update_rewrites_the_blocks_of_one_case(page):
    rewrite(page, "first")
    expected = TEXT.replace("wrong\n", "## A doc comment, no heading.\nconst a = 1\n")
    assert page.read_text(encoding="utf-8") == expected
    rewrite(page, "second")
    expected = expected.replace("```ast\n", "```ast\nFile\n  (Const b (Number 1))\n")
    assert page.read_text(encoding="utf-8") == expected


def show_all(path: Path) -> None:
    for case in read_cases(path):
        for block in case.expectations():
            actual(case, block)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("## a\n```ast\n```\n", "one ```net block"),
        ("## a\n```net\n```\n", "at least one stage"),
        ("## a\n```net\n```\n```nonsense\n```\n", "unknown stage"),
        ("## a\n## a\n", "one name"),
    ],
)
def test_malformed_cases_are_refused(tmp_path, text, complaint):
    path = tmp_path / "cases.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint):
        show_all(path)
