"""The progress bar of a terminal; `rich` is loaded here only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from netc.runtime.progress import Plan, Speed, values_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.runtime.history import EpochRecord


class Bar:
    """A bar for a terminal: epoch, loss, metrics, samples per second, remaining time."""

    def start(self, plan: Plan) -> None:
        self._plan = plan
        self._speed = Speed(plan)
        self._validation: Mapping[str, float] | None = None
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20, complete_style="cyan", finished_style="green"),
            TextColumn("{task.fields[values]} {task.fields[speed]} ETA"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("training", total=plan.steps, values="", speed="")
        self._progress.start()

    def steps(self, done: int, epoch: int, values: Mapping[str, float]) -> None:
        self._show(done, epoch, values)

    def epoch(self, done: int, record: EpochRecord) -> None:
        self._validation = record.validation
        self._show(done, record.epoch, record.training)

    def _show(self, done: int, epoch: int, values: Mapping[str, float]) -> None:
        self._progress.update(
            self._task,
            description=f"epoch {epoch}/{self._plan.epochs}",
            completed=done,
            values=values_text(values, self._validation),
            speed=self._speed.text(done),
        )

    def close(self) -> None:
        self._progress.stop()
