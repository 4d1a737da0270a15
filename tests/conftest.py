"""Golden Markdown cases as pytest items, and the hypothesis profiles."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.golden_cases import Case, actual, read_cases, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).parent / "golden"

os.environ["NETC_CACHE"] = "off"  # tests neither read nor fill the user's

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=500, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite what golden cases show")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite takes all cores; for chosen files, starting workers would cost more."""
    if hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    if config.args == config.getini("testpaths") and config.option.numprocesses is None:
        config.option.numprocesses, config.option.dist = "auto", "worksteal"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".md" and file_path.is_relative_to(GOLDEN):
        return GoldenFile.from_parent(parent, path=file_path)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != "test_tiny.py")  # the product first


class GoldenMismatch(Exception):
    """A stage shows something else than the file says."""


class GoldenFile(pytest.File):
    """A Markdown file of cases."""

    def collect(self) -> Iterator[pytest.Item]:
        for case in read_cases(self.path):
            yield GoldenItem.from_parent(self, name=case.name, case=case)


class GoldenItem(pytest.Item):
    """One case: every block must show what its stage shows."""

    def __init__(self, *, case: Case, **rest: object) -> None:
        super().__init__(**rest)
        self.case = case

    def runtest(self) -> None:
        if self.config.getoption("--update-golden"):
            rewrite(self.path, self.case.name)
            return
        for block in self.case.expectations():
            shown = actual(self.case, block)
            if shown != block.text:
                lines = difflib.unified_diff(
                    block.text.splitlines(), shown.splitlines(), "expected", "actual", lineterm=""
                )
                raise GoldenMismatch(f"```{' '.join(block.words)}\n" + "\n".join(lines))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> object:
        if isinstance(excinfo.value, GoldenMismatch):
            hint = "run pytest --update-golden and review the difference if it is meant"
            return f"{self.path.name}: {self.case.name}\n{excinfo.value}\n{hint}"
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.path.name}: {self.case.name}"
