"""`python -m tests.prelude`: for each definition, how many of its checks pass.

The checks are those that pytest runs. Exit status 1 when one fails or a definition has none.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tests.prelude.drawing import initialisers
from tests.prelude.harness import definitions
from tests.prelude.optimizing import optimizers
from tests.prelude.reference import TABLES
from tests.prelude.scheduling import schedules
from tests.prelude.special_cases import mentions
from tests.prelude.subjects import subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Check = Callable[[], int]

KINDS: Final = ("values", "gradients", "second derivatives")


def main() -> int:
    """Runs every check and prints the table."""
    passed: dict[tuple[str, str], int] = defaultdict(int)
    failures: list[str] = []
    for name, kind, check in _checks():
        try:
            passed[name, kind] += check()
        except AssertionError as error:
            failures.append(f"{name}, {kind}: {str(error).strip().splitlines()[0]}")
    print(f"{'definition':<36}" + "".join(f"{kind:>20}" for kind in KINDS))
    for room in TABLES:
        print(f"{room}.net")
        for name in (d.name.name for d in definitions(room)):
            print(_row(f"  {name}", [passed[name, kind] for kind in KINDS]))
            if not passed[name, "values"]:
                failures.append(f"{name} has no check of its values")
    totals = [sum(n for (_, k), n in passed.items() if k == kind) for kind in KINDS]
    print(_row("in all", totals))
    print(f"checks passed: {sum(totals)}, failed: {len(failures)}")
    print(f"lines of Python for single definitions of the prelude: {len(mentions())}")
    print("".join(f"FAILED {failure}\n" for failure in failures), end="")
    return 1 if failures else 0


def _checks() -> Iterator[tuple[str, str, Check]]:
    for subject in (*subjects(), *optimizers()):
        yield subject.name, "values", subject.values
        yield subject.name, "gradients", subject.gradients
        yield subject.name, "second derivatives", subject.second_derivatives
    for plain in (*schedules(), *initialisers()):
        yield plain.name, "values", plain.values


def _row(title: str, counts: list[int]) -> str:
    return f"{title:<36}" + "".join(f"{n or '-':>20}" for n in counts)


if __name__ == "__main__":
    sys.exit(main())
