"""The shape of the house: which room may import which, how large a file may grow, what loads when.

Between rooms an import for types counts like any other. Inside a room two files may name each
other's types; what loads at import time never goes in a circle.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent

ORDER: Final = (
    "netc.records",
    "netc.compiler.program",  # the contract between compiler and runtime
    "netc.compiler.timings",
    "netc.grammar",
    "netc.compiler.ir",
    "netc.compiler.ops",
    "netc.compiler.passes",
    "netc.compiler.derive",
    "netc.compiler.elaborate",
    "netc.compiler.probed",
    "netc.compiler.held",  # the objective alone, for differences
    "netc.compiler.functions",
    "netc.compiler.over_data",  # initial values over the training data
    "netc.compiler.plan",
    "netc.compiler.loops",
    "netc.compiler.outline",
    "netc.compiler.manifest",
    "netc.compiler.backend",
    "netc.compiler.cache",
    "netc.compiler.stages",
    "netc.compiler.provenance",  # where the nodes of a function come from
    "netc.compiler.places",  # the stages below the graph with places
    "netc.compiler.lines",  # machine code with the lines of the text
    "netc.compiler.standalone",  # a graph by itself as a program
    "netc.compiler.describe",  # what each kernel does, for those who measure it
    "netc.compiler.blame",  # where a number that is not finite comes from
    "netc.compiler.driver",
    "netc.compiler.cost",  # what kernels cost, by lines of the text
    "netc.runtime",
    "netc.saving",
    "netc.settings",
    "netc.stages",
    "netc.summary",
    "netc.explained",  # error codes with their examples
    "netc.model",
    "netc.probing",  # models that show what is inside another
    "netc.failure",  # the report of a call that made a NaN
    "netc.debugging",
    "netc.compiling",
    "netc.graphs",  # running a graph by itself
    "netc.profile",
    "netc.cost",  # what a function costs before it runs
    "netc.explore",
    "netc",
    "netc.checking",  # whether what was compiled is right
    "netc.derivation",  # gradients as mathematics
    "netc.procedures",
    "netc.cli",
    "netc.__main__",
)
"""The rooms; each imports only from those above it."""

ALLOWED_LENGTH: Final = 400
LONG_FILES: Final = {
    "grammar/tree.py": "the whole syntax on one page, one small dataclass after the other",
}

OUTSIDE: Final = {"llvmlite": ("netc.compiler.backend",), "lark": ("netc.grammar",)}
"""Libraries that only one room knows."""

LAZY: Final = ("numpy", "llvmlite", "lark", "rich", "safetensors", "argparse", "netc.compiler")
"""What `import netc` must not load."""


def files() -> dict[str, Path]:
    """Every module of the package, by its name; links are not followed."""
    found = {}
    for room in ("netc", "grammar", "compiler", "runtime"):
        for path in sorted((ROOT / room).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if any((ROOT / p).is_symlink() for p in inside.parents):
                continue
            parts = inside.with_suffix("").parts
            name = ".".join(parts if room == "netc" else ("netc", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


FILES = files()


def room(module: str) -> str | None:
    """The room a module belongs to; None for the packages that only hold rooms."""
    found = [r for r in ORDER if module == r or (r != "netc" and module.startswith(f"{r}."))]
    return max(found, key=len, default=None)


def imports(module: str, *, loading: bool = False) -> Iterator[str]:
    """Every module that a module imports anywhere; `loading`: only what it needs to be loaded."""
    for node in statements(ast.parse(FILES[module].read_text(encoding="utf-8")), loading=loading):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else str(node.module)


def statements(node: ast.AST, *, loading: bool) -> Iterator[ast.AST]:
    """All nodes below this one; `loading`: without functions, and blocks for type checkers only."""
    for child in ast.iter_child_nodes(node):
        only_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not (loading and (only_types or isinstance(child, ast.FunctionDef))):
            yield child
            yield from statements(child, loading=loading)


def test_order_names_the_rooms_that_exist() -> None:
    rooms = {room(m) for m in FILES if not is_holder(m)}
    assert rooms == set(ORDER)


def is_holder(module: str) -> bool:
    """A package without code: it only holds rooms."""
    return module == "netc.compiler" and not list(imports(module))


@pytest.mark.parametrize("module", [m for m in FILES if not is_holder(m)])
def test_imports_lead_upwards(module: str) -> None:
    here = room(module)
    assert here is not None, f"{module} is in no room of ORDER"
    for imported in imports(module):
        if imported.split(".")[0] != "netc":
            continue
        there = room(imported)
        assert there is not None, f"{module} imports {imported}, which is in no room"
        assert ORDER.index(there) <= ORDER.index(here), f"{module} imports {imported}"


def test_loading_a_module_never_leads_back_to_it() -> None:
    leads_to = {m: {i for i in imports(m, loading=True) if i in FILES} for m in FILES}
    while free := [m for m, found in leads_to.items() if not found & leads_to.keys()]:
        for module in free:
            del leads_to[module]
    assert leads_to == {}


@pytest.mark.parametrize("library", OUTSIDE)
def test_library_stays_in_its_room(library: str) -> None:
    users = {m for m in FILES for i in imports(m) if i.split(".")[0] == library}
    assert users
    assert {room(m) for m in users} == set(OUTSIDE[library])


def test_runtime_knows_only_the_contract() -> None:
    known = {i for m in FILES if room(m) == "netc.runtime" for i in imports(m)}
    ours = {i for i in known if i.startswith("netc.") and room(i) != "netc.runtime"}
    assert ours == {"netc.compiler.program", "netc.records"}


@pytest.mark.parametrize("path", FILES.values(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if path.relative_to(ROOT).as_posix() in LONG_FILES:
        assert lines > ALLOWED_LENGTH, "short again: take it off LONG_FILES"
    else:
        assert lines <= ALLOWED_LENGTH


@pytest.mark.parametrize("module", FILES)
def test_every_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(ast.parse(FILES[module].read_text(encoding="utf-8")))


def test_importing_netc_loads_nothing_heavy() -> None:
    code = f"import sys, netc; print(*[m for m in {LAZY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_help_loads_neither_compiler_nor_numpy() -> None:
    code = (
        "import sys\nfrom netc.cli.parser import parse_arguments\n"
        "try: parse_arguments(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'llvmlite', 'lark') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
