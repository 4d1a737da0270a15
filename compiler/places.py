"""The stages below the graph with places: every line ends with the line and name it comes from.

Invariant: without what these comments add, the texts are those of the program. Assembly has them
where a kernel begins: its instructions are in LLVM's order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.noted import NotedEmitter
from netc.compiler.loops.text import show_kernel
from netc.compiler.loops.traced import main_node, traced
from netc.compiler.stages import chosen, native_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.lower import Launch
    from netc.compiler.loops.traced import Traced
    from netc.compiler.plan.plan import Unit
    from netc.compiler.program import Manifest
    from netc.compiler.stages import Stages

MOST: Final = 4
"""Places named of a kernel that is called for several."""


class Placed:
    """The texts of one function, with the places of its nodes."""

    def __init__(
        self, stages: Stages, origins: Mapping[Node, object], manifest: Manifest, target: Target
    ) -> None:
        self._stages, self._origins = stages, origins
        self._manifest, self._target = manifest, target

    def show(self, stage: str, kernel: str | None) -> str:
        """`loops`, `llvm` or `asm`; `kernel` keeps the kernels whose name contains it.

        Raises ValueError for a kernel that does not exist.
        """
        return chosen(self.parts(stage), kernel)

    def parts(self, stage: str) -> list[tuple[str, str]]:
        """`loops`, `llvm` or `asm`, cut before each function; what belongs to none has no name."""
        match stage:
            case "loops":
                return self._loops()
            case "llvm":
                return self._llvm()
        return self._asm()

    def _loops(self) -> list[tuple[str, str]]:
        parts: list[tuple[str, str]] = []
        for name, launch in self._stages.kernels.items():
            buffers = [f"{b.region}:{b.name}" for b in launch.buffers]
            found = self._traced(launch)
            text = show_kernel(found.kernel, buffers, self._notes(found.nodes))
            head = f"kernel {name}({', '.join(buffers)}){self._comment(name, '#')}"
            parts.append((name, f"{head}\n{text}"))
        return parts

    def _llvm(self) -> list[tuple[str, str]]:
        kernels = self._stages.kernels
        parts: list[tuple[str, str]] = []
        for name, text in native_texts(self._stages, "llvm", self._target):
            if name not in kernels:
                parts.append((name, text))
                continue
            found = self._traced(kernels[name])
            emitter = NotedEmitter(
                found.kernel,
                self._manifest.precision,
                self._target,
                [scalar for scalar, _ in self._manifest.scalars],
                self._notes(found.nodes),
            )
            ending = text[len(text.rstrip()) :]
            noted = emitter.function(name).rstrip() + ending
            parts.append((name, noted.replace("{\n", f"{{{self._comment(name, ';')}\n", 1)))
        return parts

    def _asm(self) -> list[tuple[str, str]]:
        return [
            (name, re.sub(r"\A(.*)", rf"\1{self._comment(name, '#')}", text) if name else text)
            for name, text in native_texts(self._stages, "asm", self._target)
        ]

    def _traced(self, launch: Launch) -> Traced:
        results = self._manifest.results
        return traced(self._stages.plan, launch.unit, self._target.registers, results)

    def _notes(self, nodes: Mapping[int, Node]) -> dict[int, str]:
        """The places of statements, by identity."""
        return {
            statement: str(self._origins[node])
            for statement, node in nodes.items()
            if node in self._origins
        }

    def _comment(self, name: str, mark: str) -> str:
        """The places of what the calls of a kernel are for."""
        kernel = self._stages.kernels.get(name)
        if kernel is None:
            return ""
        units = [one.unit for one in self._stages.launches if one.kernel == kernel.kernel]
        places = list(dict.fromkeys(p for unit in units for p in unit_places(unit, self._origins)))
        more = f" and {len(places) - MOST} more" if len(places) > MOST else ""
        return f"  {mark} {', '.join(places[:MOST])}{more}" if places else ""


def unit_places(unit: Unit, origins: Mapping[Node, object]) -> Iterable[str]:
    """Where what a unit writes comes from, the product first."""
    main = main_node(unit)
    nodes = [] if main is None else [main]
    nodes += [*(s.node for s in unit.stores), *(o.node for o in unit.outputs)]
    return dict.fromkeys(
        str(origins[node]) for node in nodes if node is not None and node in origins
    )
