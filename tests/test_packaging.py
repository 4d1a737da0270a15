"""What is installed: `netc/` and nothing else; what is released as source: everything.

The distributions are built offline with the build backend itself, from a copy of the tree.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("netc", "grammar", "compiler", "runtime")
FOLDERS = (*ROOMS, "tests", "examples", "benchmarks", "docs", ".ci")
UNWANTED = ("__pycache__", "*.pyc", "*.egg-info", "runs", ".benchmarks")

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "setuptools"
]

BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]  # the build replaces the arguments
build_meta.build_wheel(out)
build_meta.build_sdist(out)
"""


def ours(room: str) -> list[Path]:
    """The files of a top-level folder that belong to the project, links not followed."""
    found = []
    for path in sorted((ROOT / room).rglob("*")):
        inside = path.relative_to(ROOT)
        linked = any((ROOT / p).is_symlink() for p in (inside, *inside.parents))
        unwanted = any(fnmatch(part, pattern) for part in inside.parts for pattern in UNWANTED)
        if path.is_file() and not linked and not unwanted:
            found.append(inside)
    return found


def installed(path: Path) -> str:
    """Where a file of the tree lies in an installation."""
    return path.as_posix() if path.parts[0] == "netc" else f"netc/{path.as_posix()}"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and a source archive of the tree as it is."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for path in ROOT.iterdir():
        if path.name in FOLDERS and path.is_dir():
            ignored = shutil.ignore_patterns(*UNWANTED)
            shutil.copytree(path, source / path.name, symlinks=True, ignore=ignored)
        elif path.is_file() and path.suffix in (".toml", ".md", ".in", ""):
            shutil.copy(path, source)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,), (archive,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, archive


def test_packages_are_those_of_the_tree() -> None:
    folders = {p.parent for room in ROOMS for p in ours(room) if p.suffix == ".py"}
    assert set(SETUPTOOLS["packages"]) == {installed(f).replace("/", ".") for f in folders}
    assert len(SETUPTOOLS["packages"]) == len(folders)


def test_every_package_is_a_regular_one() -> None:
    folders = {p.parent for room in ROOMS for p in ours(room) if p.suffix == ".py"}
    assert [f for f in sorted(folders) if not (ROOT / f / "__init__.py").exists()] == []


@pytest.mark.parametrize("room", ["grammar", "compiler", "runtime"])
def test_links_lead_to_the_rooms(room: str) -> None:
    link = ROOT / "netc" / room
    assert link.is_symlink()
    assert link.readlink() == Path("..", room)


def test_wheel_installs_netc_and_nothing_else(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[0]) as wheel:
        names = wheel.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"netc", next(t for t in tops if fnmatch(t, "netc-*.dist-info"))}


def test_wheel_has_every_file_of_the_rooms(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[0]) as wheel:
        names = {n for n in wheel.namelist() if n.startswith("netc/")}
    assert names == {installed(p) for room in ROOMS for p in ours(room) if p.name != "README.md"}


def test_wheel_has_the_command_and_the_licence(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[0]) as wheel:
        (entries,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
        assert "netc = netc.__main__:main" in wheel.read(entries).decode()
        (licence,) = (n for n in wheel.namelist() if n.endswith("licenses/LICENSE"))
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_source_archive_has_everything(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[1]) as archive:
        names = {n.partition("/")[2] for n in archive.getnames()}
    wanted = {p.as_posix() for folder in FOLDERS for p in ours(folder)}
    wanted |= {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"}
    assert wanted - names == set()
