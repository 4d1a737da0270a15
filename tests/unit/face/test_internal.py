"""A mistake of the compiler is reported with its stage and a dump, without a traceback."""

from __future__ import annotations

from pathlib import Path

from netc import __main__ as entry
from netc.compiler.backend import jit

NET = "net N { input x: [3]; output y = x + 1 }"


def test_internal_error_names_the_stage_and_the_dump(tmp_path, monkeypatch, capsys):
    real = jit.assembly
    monkeypatch.setattr(jit, "assembly", lambda text, target: real(f"{text}\nbroken", target))
    (tmp_path / "n.net").write_text(NET)
    assert entry.main(["ir", str(tmp_path / "n.net"), "--stage", "asm", "--function", "infer"]) == 1
    report = capsys.readouterr().err
    assert "internal error in code generation" in report
    assert "Traceback" not in report
    dump = Path(report.split("dump: ")[1].splitlines()[0])
    assert "broken" in dump.read_text()
    dump.unlink()
