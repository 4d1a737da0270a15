"""What a training run did, epoch by epoch.

Invariant: epochs are in order; training values are means over the epoch's samples in training mode,
validation values means in inference mode.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from netc.records import record
from netc.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

Reason = Literal["epochs", "max_steps", "patience", "stop_change", "interrupted", "not_finite"]


@record
class EpochRecord:
    """One epoch: its number, steps and seconds since the run began, and its values.

    `samples` is given for an epoch that was cut short: those it has seen.
    """

    epoch: int
    steps: int
    seconds: float
    training: Mapping[str, float]
    validation: Mapping[str, float] | None = None
    samples: int | None = None

    def after(self, begun: EpochRecord | None, seen: int) -> EpochRecord:
        """The record of an epoch whose beginning has one of its own; `seen` samples are new."""
        if begun is None:
            return self
        share = (begun.samples or 0) / ((begun.samples or 0) + seen)
        means = {n: share * begun.training[n] + (1 - share) * v for n, v in self.training.items()}
        return replace(self, training=means)


@dataclass(slots=True)
class History:
    """The epochs of a run, why it ended, and which epoch's values were kept."""

    epochs: list[EpochRecord] = field(default_factory=list)
    stopped: Reason = "epochs"
    kept_epoch: int | None = None  # the epoch whose parameters the model has, after restore_best

    @property
    def seconds(self) -> float:
        return self.epochs[-1].seconds if self.epochs else 0.0

    @property
    def interrupted(self) -> bool:
        return self.stopped == "interrupted"

    @property
    def kept(self) -> EpochRecord | None:
        """The record of the epoch whose parameters the model has."""
        found = [r for r in self.epochs if r.epoch == self.kept_epoch]
        return found[-1] if found else (self.epochs[-1] if self.epochs else None)

    def unfinished(self, samples: int) -> EpochRecord | None:
        """The last epoch, if it was cut short of so many samples and the model is as it left it."""
        last = self.epochs[-1] if self.epochs else None
        if last is None or last.samples is None or last.samples >= samples:
            return None
        return last if self.kept_epoch in (None, last.epoch) else None

    def __len__(self) -> int:
        return len(self.epochs)

    def __getitem__(self, name: str) -> list[float]:
        """One value over the epochs: `history["loss"]`, `history["validation.accuracy"]`."""
        if name.startswith("validation."):
            key = name.removeprefix("validation.")
            return [r.validation[key] for r in self.epochs if r.validation is not None]
        return [r.training[name] for r in self.epochs]

    def as_json(self) -> dict[str, object]:
        """Plain data; numbers that JSON lacks become null."""
        return {
            "epochs": [plain(asdict(r)) for r in self.epochs],
            "stopped": self.stopped,
            "kept_epoch": self.kept_epoch,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> History:
        """The history written by `as_json`; DataError when it is damaged."""
        try:
            records = [
                EpochRecord(
                    int(r["epoch"]),
                    int(r["steps"]),
                    float(r["seconds"]),
                    _values(r["training"]),
                    None if r["validation"] is None else _values(r["validation"]),
                    r.get("samples"),
                )
                for r in data["epochs"]
            ]
            return cls(records, data["stopped"], data["kept_epoch"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the history is damaged: {error!r}") from None


def plain(value: object) -> object:
    """`value` with infinities and NaN as None, so that strict JSON can hold it."""
    match value:
        case dict():
            return {k: plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case float():
            return value if isfinite(value) else None
        case _:
            return value


def _values(data: Mapping[str, float | None]) -> dict[str, float]:
    return {n: float("nan") if v is None else float(v) for n, v in data.items()}
