"""What the charts share: one look that is legible on light and dark paper, and thinned curves.

Text, axes and grids are drawn in the page's own colour (`currentColor` in SVG), so that one figure serves a
light page, a dark page and a printer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999933", "#888888")
"""Paul Tol's bright scheme, distinct for colour-blind readers; its grey darkened and an olive added."""

MAX_EPOCHS = 100
"""Points that a curve keeps."""

Records = Sequence[Mapping[str, Any]]


def data(records: Records) -> alt.InlineData:
    """Records as a chart's data, numbers cut to six digits: a page is read, not computed with."""
    return alt.InlineData(values=[{key: _short(value) for key, value in record.items()} for record in records])


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def finish(chart: Any, *, height: int = 260) -> dict[str, Any]:
    """A chart as a Vega-Lite specification that fills its place and takes the page's colours."""
    styled = (
        chart.properties(width="container", height=height, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="currentColor",
            titleColor="currentColor",
            domainColor="currentColor",
            tickColor="currentColor",
            gridColor="currentColor",
            gridOpacity=0.12,
            domainOpacity=0.4,
            tickOpacity=0.4,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=260,
        )
        .configure_legend(
            labelColor="currentColor",
            titleColor="currentColor",
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=420,
            orient="bottom",
            columns=2,
            symbolLimit=40,
        )
        .configure_title(color="currentColor")
        .configure_range(category=list(PALETTE))
    )
    spec: dict[str, Any] = styled.to_dict()
    return {**spec, "autosize": {"type": "fit-x", "contains": "padding"}}


def thin(count: int, keep: int = MAX_EPOCHS) -> list[int]:
    """Which of `count` points to keep: evenly spaced, the first and the last among them."""
    if count <= keep:
        return list(range(count))
    return sorted({round(index * (count - 1) / (keep - 1)) for index in range(keep)})
