"""`python -m docs.make_reference`: writes the pages under `docs/reference` and their plots.

Invariant: everything on a page comes from the texts of the prelude, their doc comments and the
table of primitives; every curve is computed by a net that the compiler compiled. `--pages` writes
the pages alone, which needs no matplotlib.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from docs.curves import PRIMITIVE_CURVES, curves
from netc.cli.library import Room, prelude, signature
from netc.compiler.elaborate.primitives import PRIMITIVES

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Primitive
    from netc.grammar.tree import Definition

FOLDER: Final = Path(__file__).parent / "reference"

GROUPS: Final = {
    "Elementwise": (
        *("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "abs", "sign", "floor", "ceil"),
        *("round", "sin", "cos", "tanh", "sigmoid", "erf", "erfinv", "min", "max", "where"),
        *("isnan", "present"),
    ),
    "Reductions over the axes of a sample": (
        *("sum", "mean", "prod", "max", "min", "argmax", "argmin", "logsumexp"),
    ),
    "Reductions over the samples of a batch": ("batch_sum", "batch_mean", "batch_max"),
    "Products and windows": (
        *("einsum", "convolve", "convolve_transpose", "window_max", "window_sum"),
    ),
    "Movements": (
        *("reshape", "transpose", "broadcast", "concat", "stack", "pad", "slice", "reverse"),
        *("gather", "iota"),
    ),
    "Random draws and initial values": (
        *("uniform", "normal", "bernoulli", "orthonormalise", "over_data"),
    ),
    "Derivatives": ("grad", "jacobian", "hessian", "hvp", "stop_gradient"),
    "Sizes and repetition": ("shape", "size", "count", "repeat"),
}
"""The primitives by what they are for; `min` and `max` are of two kinds."""

_NOTE: Final = (
    "<!-- written by `python -m docs.make_reference`: change the prelude, not this page -->"
)


def pages() -> dict[str, str]:
    """The text of every page by its file name."""
    found = {f"{room.name}.md": _room(room) for room in prelude()}
    return {**found, "primitives.md": _primitives()}


def _room(room: Room) -> str:
    titled = re.match(r"\w+: ", room.comment)
    text = room.comment[titled.end() :] if titled else room.comment
    head = f"# {room.name.capitalize()}\n\n{_NOTE}\n\n{text[:1].upper()}{text[1:]}"
    also = [PRIMITIVES[name] for name in PRIMITIVE_CURVES.get(room.name, ())]
    rows = [_row(d.name.name, _summary(d.doc or "")) for d in room.definitions]
    rows += [_row(p.name, f"{_summary(p.doc)} A primitive.") for p in also]
    table = "\n".join(["| name | what it is |", "|---|---|", *rows])
    sections = [_definition(room.name, d) for d in room.definitions]
    sections += [_primitive_section(room.name, p) for p in also]
    return "\n\n".join([head, table, *sections]) + "\n"


def _definition(room: str, found: Definition) -> str:
    text, _, source = (found.doc or "").strip().rpartition("Source: ")
    parts = [f"## {found.name.name}", _prose(text), *_plot(room, found.name.name)]
    parts += [f"```net\n{found.span.text}\n```", f"Source: {' '.join(source.split())}"]
    return "\n\n".join(parts)


def _primitive_section(room: str, found: Primitive) -> str:
    parts = [f"## {found.name}", _prose(found.doc), *_plot(room, found.name)]
    return "\n\n".join([*parts, f"A [primitive](primitives.md): `{_header(found)}`."])


def _plot(room: str, name: str) -> list[str]:
    """The picture of a definition, where it has one."""
    what = "over a run" if room == "schedules" else "and its slope"
    names = {curve.name for curve in curves()}
    return [f"![{name} {what}](plots/{name}.svg)"] if name in names else []


def _primitives() -> str:
    left = set(PRIMITIVES) - {name for group in GROUPS.values() for name in group}
    if left:
        raise ValueError(f"primitives of no group: {', '.join(sorted(left))}")
    parts = [f"# Primitives\n\n{_NOTE}\n\n{_PRIMITIVES}"]
    for title, names in GROUPS.items():
        rows = [f"| `{_header(PRIMITIVES[n])}` | {_cell(PRIMITIVES[n].doc)} |" for n in names]
        parts.append(f"## {title}\n\n" + "\n".join(["| call | what it is |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


_PRIMITIVES: Final = """\
What the compiler itself knows; everything else is text, in the [prelude](../prelude.md). An
argument with a question mark may be left out, `…` stands for any number of values. Axes are those
of one sample and count from 0, or from the end if negative. [The language](../language.md) has the
rules; `netc doc NAME` prints one of these lines."""


def _header(found: Primitive) -> str:
    return signature(found).removeprefix("primitive ")


def _summary(doc: str) -> str:
    """The first sentence of a doc comment, or all before its source."""
    text = _prose(doc.rpartition("Source: ")[0] or doc)
    return text.split(". ")[0].removesuffix(".") + "."


def _row(name: str, summary: str) -> str:
    return f"| [`{name}`](#{name}) | {_cell(summary)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _prose(text: str) -> str:
    """Lines as one paragraph, safe from Markdown's own marks."""
    plain = " ".join(text.split())
    parts = plain.split("`")
    parts[::2] = [part.replace("*", "\\*").replace("<", "\\<") for part in parts[::2]]
    return "`".join(parts)


def main() -> None:
    """Writes the pages, and the plots unless `--pages` is given."""
    parser = argparse.ArgumentParser(description="Writes the reference of the prelude.")
    parser.add_argument("--pages", action="store_true", help="the pages without the plots")
    options = parser.parse_args()
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    if not options.pages:
        from docs.plots import draw  # noqa: PLC0415 - matplotlib is for this alone

        draw(curves(), FOLDER / "plots")


if __name__ == "__main__":
    main()
