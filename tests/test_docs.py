"""The documentation keeps its word: texts compile, programs run, commands print what is shown."""

from __future__ import annotations

import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import netc
from netc.__main__ import main
from netc.compiler.passes import pipeline
from netc.grammar.diagnostics import CompileError
from tests.documents import ROOT, Block, blocks, commands, documents, links, missing_line, prose

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = documents()
FOLDERS_OF_CODE = [
    p
    for top in ("grammar", "compiler", "runtime", "netc")
    for p in (ROOT / top, *(ROOT / top).iterdir())
]
_EMPTY = "\nnet Nothing { input x: [1]; output y = x }\n"


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_blocks(
    document: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "run", pipeline.run)  # what a page replaces ends with it
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    names: dict[str, Any] = {}
    for block in blocks(document):
        place = f"{name_of(document)}:{block.line}"
        match block.kind:
            case "net" if not block.explains:
                check_net(block, place, tmp_path)
            case "python":
                exec(compile("\n" * (block.line - 1) + block.text, document, "exec"), names)
            case "console":
                check_console(block, place, capsys)


def check_net(block: Block, place: str, folder: Path) -> None:
    text = block.text
    if "body" in block.words:
        text = f"net Body {{\n{text}}}\n"
    if block.file is not None:
        (folder / block.file).parent.mkdir(exist_ok=True)
        (folder / block.file).write_text(text, encoding="utf-8")
    if not re.search(r"^net ", text, re.MULTILINE):
        text += _EMPTY
    slug = block.after("error")
    if slug is None:
        try:
            netc.compile(source=text, root=folder).ir("simplified", "infer")
        except CompileError as error:
            pytest.fail(f"{place}: {error}", pytrace=False)
        return
    with pytest.raises(CompileError) as refused:
        netc.compile(source=text, root=folder)
    assert {d.slug for d in refused.value.diagnostics} == {slug}, f"{place}: {refused.value}"


def check_console(block: Block, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "avx512" in block.words and target_name() != "avx512":
        return
    for command, shown in commands(block.text):
        program, *arguments = shlex.split(command)
        assert program == "netc", f"{place}: only netc is run here"
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as leaving:  # --help and --version leave so
            status = int(leaving.code or 0)
        printed = "".join(capsys.readouterr())
        assert status == (1 if "fails" in block.words else 0), f"{place}: {command}\n{printed}"
        absent = missing_line(shown, printed)
        assert absent is None, f"{place}: {command}\nlacks: {absent}\nprinted:\n{printed}"


def target_name() -> str:
    from netc.compiler.backend.target import host_target

    return host_target().name


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    broken = [link for link in links(document) if not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_named_exist(document: Path) -> None:
    """A file in backticks, as seen from the document, the root or a room, or written by a block."""
    homes = {ROOT, document.parent, *FOLDERS_OF_CODE}
    made = {block.file for block in blocks(document)} | {"model.net"}  # `netc train` writes one
    named = set(re.findall(r"`([\w./-]+\.(?:py|net|lark|csv|md))`", prose(document)))
    missing = [n for n in named - made if not any((home / n).exists() for home in homes)]
    assert missing == []


def test_every_document_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in links(index)}
    written = {p.resolve() for p in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    assert written - listed == set()
