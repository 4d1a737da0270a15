"""The texts of the stages of a function, and what each line of them belongs to.

A mark is `[count, lines, kernels]`: so many lines of the text that belong to the same lines of the
`.net` text and to the same kernels, both as places in a pool of sets.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netc.compiler.functions import undifferentiated
from netc.compiler.ops.text import show
from netc.compiler.passes import pipeline
from netc.compiler.places import Placed
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.compiler.driver import Program
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.program import FunctionName
    from netc.compiler.provenance import Provenance

MOST_LINES: Final = 40_000
"""Lines of one text on the page; of a longer one the rest is left out."""

NOTE: Final = re.compile(r"\s*[#;] @(\d+)((?:, @\d+)*(?: and \d+ more)?)$")
"""Numbers of nodes at the end of a line, where texts have places."""

SUMMARIES: Final = {step.name: step.summary for step in pipeline.PASSES}
"""What each pass does."""

NUMBERED: Final = re.compile(r"%(\d+) = ")
RETURNED: Final = re.compile(r"return \w+ .* %(\d+)\s*(?:#.*)?$")
KERNEL: Final = re.compile(r" {0,2}(\d+) \w")
CALLED: Final = re.compile(r"(?:call void @|callq\s+)([\w.]+)")


class Pool:
    """Sets of numbers, each kept once in the order in which it first came."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, ...], int] = {(): 0}

    def place(self, numbers: Iterable[int]) -> int:
        """Where a set is; it is added if it is new."""
        return self._places.setdefault(tuple(dict.fromkeys(numbers)), len(self._places))

    def sets(self) -> list[list[int]]:
        """All sets in their places."""
        return [list(numbers) for numbers in self._places]


@record
class Kernels:
    """What texts must know of the kernels of a function: by number, in the order of the plan."""

    symbols: tuple[str, ...]
    lines: tuple[tuple[int, ...], ...]
    of_text: Mapping[Node, tuple[int, ...]]
    """The lines of a node."""
    of_node: Mapping[Node, tuple[int, ...]]
    """The kernels that compute a node of the simplified graph, or store it."""

    def named(self, symbol: str) -> tuple[int, ...]:
        """The kernels that call a native function."""
        return tuple(n for n, name in enumerate(self.symbols) if name == symbol)


Belonging = tuple[tuple[int, ...], tuple[int, ...]]
"""Lines and kernels."""

NOTHING: Final[Belonging] = ((), ())


class Texts:
    """Writes the texts of one function; sets go to the pools."""

    def __init__(
        self,
        program: Program,
        function: FunctionName,
        known: Provenance,
        kernels: Kernels,
        pools: tuple[Pool, Pool],
    ) -> None:
        self._program, self._function = program, function
        self._known, self._kernels, self._pools = known, kernels, pools

    def all(self) -> list[dict[str, object]]:
        """Every text: `name`, what it is, its lines, its marks, and how many lines are left out."""
        program, function = self._program, self._function
        stages = program.stages(function)
        tree = self._shown("ast")
        graph = undifferentiated(program.model, function)
        return [
            self._text("ast", "the syntax tree", [(line, NOTHING) for line in tree.splitlines()]),
            self._graph("graph", "what the text means", graph),
            self._graph("backward", "with derivatives and updates", stages.graph),
            *self._passes(),
            self._graph("simplified", "after all passes", stages.simplified),
            self._text("fused", "kernels and memory", self._plan()),
            *(self._text(stage, what, self._native(stage)) for stage, what in NATIVE),
        ]

    def _passes(self) -> list[dict[str, object]]:
        """The graph after each pass that changes it; the last one is `simplified`."""
        found = [change for change in self._known.changes if change.before != change.after]
        return [
            self._graph(f"after {one.name}", SUMMARIES.get(one.name, ""), one.after)
            for one in found[:-1]
        ]

    def _graph(self, name: str, what: str, graph: Graph) -> dict[str, object]:
        nodes = graph.nodes()
        lines, kernels = self._kernels.of_text, self._kernels.of_node
        belongs = [(lines.get(n, ()), kernels.get(n, ())) for n in nodes]

        def of(line: str) -> Belonging:
            found = NUMBERED.match(line) or RETURNED.match(line)
            return belongs[int(found[1])] if found else NOTHING

        text = show(graph, self._known.origins)
        return self._text(name, what, [(line, of(line)) for line in text.splitlines()])

    def _plan(self) -> list[tuple[str, Belonging]]:
        """A kernel's line, and those below it."""
        current = NOTHING
        rows: list[tuple[str, Belonging]] = []
        for line in self._shown("fused").splitlines():
            found = KERNEL.match(line)
            if found:
                current = self._of_kernels((int(found[1]),))
            elif not line.startswith("      "):
                current = NOTHING
            rows.append((line, current))
        return rows

    def _native(self, stage: str) -> list[tuple[str, Belonging]]:
        """The functions of a stage; in one that is no kernel, the calls of kernels.

        A kernel of one call knows the node of each statement, one of several only its calls.
        """
        program = self._program
        nodes = list(self._known.origins)
        tokens = {node: f"@{number}" for number, node in enumerate(nodes)}
        stages = program.stages(self._function)
        rows: list[tuple[str, Belonging]] = []
        for name, text in Placed(stages, tokens, program.manifest, program.target).parts(stage):
            own = self._kernels.named(name)
            for line in text.splitlines():
                plain, note = _split(line)
                belongs = self._of_kernels(own) if own else self._of_call(plain)
                if note is not None and len(own) == 1:
                    belongs = self._kernels.of_text.get(nodes[note]) or belongs[0], own
                rows.append((plain, belongs))
        return rows

    def _of_kernels(self, numbers: tuple[int, ...]) -> Belonging:
        lines = dict.fromkeys(line for n in numbers for line in self._kernels.lines[n])
        return tuple(lines), numbers

    def _of_call(self, line: str) -> Belonging:
        found = CALLED.search(line)
        return self._of_kernels(self._kernels.named(found[1])) if found else NOTHING

    def _shown(self, stage: str) -> str:
        return self._program.show(stage, self._function)

    def _text(self, name: str, what: str, rows: list[tuple[str, Belonging]]) -> dict[str, object]:
        marks: list[list[int]] = []
        kept = rows[:MOST_LINES]
        for _, (lines, kernels) in kept:
            mark = [self._pools[0].place(lines), self._pools[1].place(kernels)]
            if marks and marks[-1][1:] == mark:
                marks[-1][0] += 1
            else:
                marks.append([1, *mark])
        return {
            "name": name,
            "what": what,
            "text": "\n".join(line for line, _ in kept),
            "marks": marks,
            "left_out": len(rows) - len(kept),
        }


NATIVE: Final = (
    ("loops", "kernels as loop nests"),
    ("llvm", "the text given to LLVM"),
    ("asm", "machine code"),
)


def _split(line: str) -> tuple[str, int | None]:
    """A line without its note, and the number of the node if it names exactly one."""
    found = NOTE.search(line)
    if found is None:
        return line, None
    return line[: found.start()], int(found[1]) if found[2] == "" else None
