"""Sections as one HTML file: everything inline, nothing fetched, legible on light, dark and printed pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib import resources
from itertools import groupby

from bnnlab.report.content import Block, Cell, Figure, Line, Section, Table, Text

KEYS_SHOWN = 64
"""Run keys that a line lists; the study's run list has them all."""


def render_page(
    *,
    title: str,
    question: str,
    eyebrow: str,
    tiles: Iterable[tuple[str, str]],
    sections: Sequence[Section],
    live: str = "",
) -> str:
    """The page.

    Args:
        eyebrow: a line above the question: study, profile, plan.
        tiles: label and value of what a reader wants to know first.
        live: a script that reloads the page, while a sweep runs.
    """
    anchors = [f"section-{number}" for number in range(1, len(sections) + 1)]
    links = "".join(
        f'<a href="#{anchor}">{escape(section.title)}</a>' for anchor, section in zip(anchors, sections, strict=True)
    )
    body = "\n".join(_section(section, anchor) for section, anchor in zip(sections, anchors, strict=True))
    shown = "".join(f"<li>{escape(label)} <b>{escape(value)}</b></li>" for label, value in tiles)
    has_figures = any(isinstance(block, Figure) for section in sections for block in section.blocks)
    library = f"<script>{_vega()}</script>" if has_figures else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_asset("page.css")}</style>
</head>
<body>
<header>
<p class="eyebrow">{escape(eyebrow)}</p>
<h1>{escape(question or title)}</h1>
<ul class="tiles">{shown}</ul>
</header>
<nav aria-label="Sections"><div>{links}</div></nav>
<main>
{body}
</main>
<footer>Made by bnnlab from the recorded runs; every line names the runs that it was computed from.</footer>
{library}
<script>{_asset("page.js")}</script>
{live}
</body>
</html>
"""


@cache
def _vega() -> str:
    """vega, vega-lite and vega-embed in one script."""
    import altair
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    # In a page, "<!--" before "<script" inside a script hides the end tag. \x3C is "<" in a string and in a
    # pattern.
    for sequence in ("<!--", "<script", "</script"):
        bundle = bundle.replace(sequence, f"\\x3C{sequence[1:]}")
    return bundle


@cache
def _asset(name: str) -> str:
    return resources.files("bnnlab.report").joinpath(name).read_text(encoding="utf-8")


def _section(section: Section, anchor: str) -> str:
    parts = [f'<section id="{anchor}"><h2>{escape(section.title)}</h2>']
    for kind, group in groupby(section.blocks, _grid):
        shown = "\n".join(_block(block) for block in group)
        parts.append(f'<div class="{kind}">{shown}</div>' if kind else shown)
    return "\n".join([*parts, "</section>"])


def _grid(block: Block) -> str:
    """The grid that a block stands in; "" for none."""
    if not isinstance(block, Figure):
        return ""
    return "figures small" if block.is_small else "figures"


def _block(block: Block) -> str:
    match block:
        case Text():
            return _text(block)
        case Table():
            return _table(block)
        case Figure():
            return _figure(block)


def _text(text: Text) -> str:
    words = escape(text.text)
    if text.tone == "code":
        return f"<pre><code>{words}</code></pre>"
    if text.tone == "quote":
        return f"<blockquote><p>{words}</p></blockquote>"
    return f'<p class="{text.tone}">{words}</p>' if text.tone == "warning" else f"<p>{words}</p>"


def _figure(figure: Figure) -> str:
    # Inside a script element only "</" and "<!--" can end or confuse it; "\u003c" is the same character to
    # JSON.
    caption = "" if figure.is_small else f'<figcaption class="note">{escape(figure.description)}</figcaption>'
    spec = json.dumps(figure.spec, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return (
        f'<figure id="{figure.name}"><h3>{escape(figure.title)}</h3>'
        f'<div class="chart" role="img" aria-label="{escape(figure.description, quote=True)}"></div>'
        f'<script type="application/json">{spec}</script>'
        f"{caption}</figure>"
    )


def _table(table: Table) -> str:
    traced = any(line.run_keys for line in table.lines)
    heads = "".join(f'<th scope="col" class="{column.align}">{escape(column.title)}</th>' for column in table.columns)
    heads += '<th scope="col">from</th>' if traced else ""
    lines = "\n".join(_line(table, line, traced) for line in table.lines)
    search = f'<input type="search" aria-label="Filter" placeholder="filter" data-filters="table-{table.name}">'
    return (
        f"{search if table.is_long else ''}"
        f'<div class="scroll{" long" if table.is_long else ""}"><table id="table-{table.name}">'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"
        f'<p class="note">{escape(table.caption)}</p>'
    )


def _line(table: Table, line: Line, traced: bool) -> str:
    cells = "".join(_cell(cell, column.align) for cell, column in zip(line.cells, table.columns, strict=True))
    return f"<tr>{cells}{_keys(line.run_keys) if traced else ''}</tr>"


def _keys(keys: tuple[str, ...]) -> str:
    if not keys:
        return '<td class="keys"></td>'
    listed = " ".join(keys[:KEYS_SHOWN]) + (f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else "")
    noun = "run" if len(keys) == 1 else "runs"
    return f'<td class="keys"><details><summary>{len(keys):,} {noun}</summary>{escape(listed)}</details></td>'


def _cell(cell: Cell, align: str) -> str:
    text = escape(cell.text)
    if cell.href is not None and cell.href.startswith(("http://", "https://", "/")):
        text = f'<a href="{escape(cell.href, quote=True)}">{text}</a>'
    tone = f' data-tone="{escape(cell.tone, quote=True)}"' if cell.tone else ""
    note = f' title="{escape(cell.note, quote=True)}"' if cell.note else ""
    return f'<td class="{align}"{tone}{note}>{text}</td>'
