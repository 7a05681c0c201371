"""Names, units and scales of the metrics that a run may record. Accuracies are fractions in records, per
cent in print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["points", "percent", "fraction", "MiB", "count", "seconds"]

UNIT_SCALES: dict[str, float] = {
    "points": 0.01,
    "percent": 0.01,
    "fraction": 1.0,
    "MiB": 1.0,
    "count": 1.0,
    "seconds": 1.0,
}
"""What one unit is in the unit that records use."""


@dataclass(frozen=True)
class Metric:
    """What a final metric measures and how it is printed."""

    name: str
    title: str
    unit: Literal["fraction", "MiB", "count", "seconds"]
    exact: bool = False
    """Decided by the configuration alone: equal for every seed, so that one run tells it and no test is
    needed."""

    @property
    def units(self) -> tuple[str, ...]:
        """The units in which a claim about this metric may be written."""
        return ("points", "percent", "fraction") if self.unit == "fraction" else (self.unit,)

    def value(self, value: float, decimals: int = 2) -> str:
        """A value for a person: "87.20 %", "3.36 MiB", "10 985 472"."""
        if self.unit == "fraction":
            return f"{100 * value:.{decimals}f} %"
        return _plain(value, self.unit, "")

    def difference(self, value: float, decimals: int = 2) -> str:
        """A difference for a person, with its sign: "-2.20 points", "+0.64 MiB"."""
        if self.unit == "fraction":
            return f"{100 * value:+.{decimals}f} points"
        return _plain(value, self.unit, "+")


def _plain(value: float, unit: str, sign: str) -> str:
    if unit == "count":
        return f"{value:{sign},.0f}".replace(",", " ") if float(value).is_integer() else f"{value:{sign}.4g}"
    return f"{value:{sign}.2f} {'s' if unit == 'seconds' else unit}"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("test/top1", "top-1 accuracy, last epoch", "fraction"),
        Metric("test/top1_best", "top-1 accuracy, best epoch", "fraction"),
        Metric("test/top5", "top-5 accuracy, last epoch", "fraction"),
        Metric("test/top5_best", "top-5 accuracy, best epoch", "fraction"),
        Metric("val/top1", "validation top-1 accuracy", "fraction"),
        Metric("train/top1", "training top-1 accuracy", "fraction"),
        Metric("model/size_mib", "deployed size", "MiB", exact=True),
        Metric("model/params_binary", "binary parameters", "count", exact=True),
        Metric("model/params_fp", "full-precision parameters", "count", exact=True),
        Metric("model/macs_binary", "1-bit MACs", "count", exact=True),
        Metric("model/macs_fp", "float MACs", "count", exact=True),
    )
}


def describe_metric(name: str) -> Metric:
    """The entry of `METRICS`, or for a metric that a plug-in logs a plain entry in its own unit."""
    known = METRICS.get(name)
    if known is not None:
        return known
    is_fraction = name.rsplit("/", 1)[-1].startswith(("top1", "top5", "flip_ratio"))
    return Metric(name, name, "fraction" if is_fraction else "count")
