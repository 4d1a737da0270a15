"""What a program is before any of its functions is native: all that a run needs to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph
    from netc.compiler.program import Manifest, Settings
    from netc.grammar.folder import Imported


@record
class Outline:
    """A checked text as a run sees it.

    `initial` computes the values of parameters, states and optimizer states, `over_data` those that
    the text computes over the training data. `imports` are the texts below the text.
    """

    manifest: Manifest
    settings: Settings
    initial: Graph
    over_data: Graph
    imports: tuple[Imported, ...]
