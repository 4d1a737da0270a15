"""`import netc` is cheap, its names are complete, and arguments of `compile` are checked."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import netc


def test_importing_netc_loads_nothing_heavy():
    heavy = ("numpy", "llvmlite", "lark", "rich", "safetensors", "argparse")
    code = f"import netc, sys; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_public_name_resolves():
    for name in netc.__all__:
        assert getattr(netc, name) is not None
    assert dir(netc) == sorted(netc.__all__)
    with pytest.raises(AttributeError, match="no attribute `train`"):
        netc.train  # noqa: B018


def test_version_agrees_with_the_project():
    project = Path(__file__).parents[3] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == netc.__version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either a path or"),
        ({"path": "a", "source": "b"}, "either a path or"),
        ({"source": "", "precision": "f16"}, "f16"),
        ({"source": "", "threads": 0}, "`threads` must be"),
        ({"source": "", "seed": -1}, "`seed` must be"),
        ({"source": "", "seed": 1.5}, "`seed` must be"),
    ],
)
def test_wrong_arguments_of_compile(arguments, words):
    with pytest.raises(netc.UsageError, match=words):
        netc.compile(**arguments)


def test_compile_of_files_that_are_no_text(tmp_path):
    (tmp_path / "a.net").write_bytes(b"net \xff")
    with pytest.raises(netc.DataError, match=r"UTF-8.*byte 4"):
        netc.compile(tmp_path / "a.net")
    with pytest.raises(FileNotFoundError):
        netc.compile(tmp_path / "b.net")
