"""What each line of a text costs in one function, beside what one core of this machine can do.

Invariant: nothing of the function is run. The two limits are those of `netc profile`, measured now
for a fraction of a second; everything else follows from the plan.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Literal

from netc.compiler.backend.probes import probes
from netc.compiler.cost import KernelCost, kernel_costs
from netc.profile import limits, memory_of
from netc.records import record
from netc.stages import need

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.compiler.driver import Program
    from netc.compiler.program import FunctionName


@record
class LineCost:
    """What the kernels of one line do in one run.

    `line` is empty for what no line made; `fused` are other lines whose work is in these kernels.
    `arithmetic` and `traffic` are the seconds that one core needs at least for either.
    """

    line: str
    text: str
    fused: tuple[str, ...]
    kernels: int
    macs: int
    bytes: int
    arithmetic: float
    traffic: float
    bound: float
    live: int

    @property
    def intensity(self) -> float:
        """Operations for each byte; a multiply-add is two."""
        return 2 * self.macs / self.bytes if self.bytes else 0.0

    @property
    def limit(self) -> Literal["arithmetic", "traffic"]:
        """What bounds the larger part of the time."""
        return "arithmetic" if self.arithmetic > self.traffic else "traffic"


@record
class Moment:
    """Successive kernels of one line: the first, how many, and the bytes that are alive at most."""

    kernel: str
    kernels: int
    line: str
    live: int


@record
class Cost:
    """A function over so many samples; `peak` operations a second, `bandwidth` bytes a second."""

    net: str
    function: FunctionName
    samples: int
    peak: float
    bandwidth: float
    arena: int
    lines: tuple[LineCost, ...]
    total: LineCost
    moments: tuple[Moment, ...]


def cost(program: Program, function: FunctionName | None, samples: int) -> Cost:
    """The cost of a function of a program; by default that of a step, else of inference.

    `infer` over few samples is `infer_one` or `infer_group`. Raises UsageError for a function that
    the program has not got.
    """
    manifest = program.manifest
    if function is None:
        function = "step" if "step" in manifest.functions else "infer"
    if function == "infer":
        function = manifest.inference.function(samples)
    need(manifest, function)
    arena, footprint = memory_of(manifest, program.spec(function), samples)
    peak, bandwidth = limits(probes(program.target, manifest.precision, footprint))
    kernels = kernel_costs(program, function, samples)
    by_line: dict[str, list[KernelCost]] = {}
    for kernel in kernels:
        by_line.setdefault(kernel.line, []).append(kernel)

    def line(name: str, own: list[KernelCost]) -> LineCost:
        return _line(name, _text(program, name), own, peak, bandwidth)

    lines = tuple(line(name, by_line[name]) for name in sorted(by_line, key=_order))
    total = _line("", "total", kernels, peak, bandwidth)
    moments = tuple(_moments(kernels))
    return Cost(manifest.name, function, samples, peak, bandwidth, arena, lines, total, moments)


def _line(
    line: str, text: str, kernels: list[KernelCost], peak: float, bandwidth: float
) -> LineCost:
    """The sum over kernels; each is bound by arithmetic or by traffic, whichever takes longer."""
    work = [(k.description.operations / peak, k.description.bytes / bandwidth) for k in kernels]
    fused = dict.fromkeys(other for k in kernels for other in k.description.lines)
    return LineCost(
        line,
        text,
        tuple(other for other in fused if line and other != line),
        len(kernels),
        sum(k.description.operations for k in kernels) // 2,
        sum(k.description.bytes for k in kernels),
        sum(arithmetic for arithmetic, _ in work),
        sum(traffic for _, traffic in work),
        sum(map(max, work)),
        max((k.live for k in kernels), default=0),
    )


def _text(program: Program, line: str) -> str:
    """A line of the compiled file as it is written; empty for one of another file."""
    return program.source.line(int(line)).strip() if line.isdecimal() else ""


def _moments(kernels: list[KernelCost]) -> Iterable[Moment]:
    for line, group in groupby(kernels, key=lambda k: k.line):
        own = list(group)
        yield Moment(own[0].description.symbol, len(own), line, max(k.live for k in own))


def _order(line: str) -> tuple[bool, str, int]:
    """Lines of the file, those of its imports, then what no line made."""
    file, _, number = line.rpartition(":")
    return not line, file, int(number or 0)
