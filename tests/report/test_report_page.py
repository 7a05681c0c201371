"""The page in a browser: nothing fetched, nothing complained about, everything drawn and legible."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import browse
from sample_studies import authors_sixteen, simulated
from test_report_build import EVERY_PANEL, SHIPPED, broken_study

from bnnlab.report.build import build_report

SMALL = simulated(seeds=2, epochs=6)
SMALL_WITH_GAPS = simulated(seeds=2, epochs=6, unfinished=3)

# Luminance contrast by WCAG 2.1, of an element's colour on the page's background.
CONTRAST = """
(selector) => {
  const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const under = luminance(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll(selector)].map((element) => {
    const style = getComputedStyle(element);
    const over = luminance(element instanceof SVGElement ? style.fill : style.color);
    return (Math.max(over, under) + 0.05) / (Math.min(over, under) + 0.05);
  }));
}
"""


@pytest.fixture(scope="module")
def tab():
    with browse() as page:
        yield page


def show(tab, tmp_path, study, dashboard=EVERY_PANEL, width=1200, scheme="light"):
    path = tmp_path / "report.html"
    path.write_text(build_report(study, dashboard).html(), encoding="utf-8")
    tab.console.clear()
    tab.requests.clear()
    tab.size(width)
    tab.prefer(scheme)
    tab.open(path.as_uri())
    tab.draw_all()
    return path


@pytest.mark.parametrize(
    "study",
    [authors_sixteen(), SMALL, simulated(unfinished=3), broken_study()],
    ids=["authors", "user", "gaps", "broken"],
)
def test_the_page_fetches_nothing_and_complains_about_nothing(tab, tmp_path, study):
    path = show(tab, tmp_path, study)
    assert tab.console == []
    assert tab.requests == [path.as_uri()]


def test_every_figure_is_drawn_with_marks_and_units(tab, tmp_path):
    show(tab, tmp_path, SMALL)
    figures = tab.evaluate(
        """[...document.querySelectorAll("figure")].map((figure) => ({
            name: figure.id,
            marks: figure.querySelectorAll("svg .mark-symbol path, svg .mark-line path, svg .mark-rect path").length,
            titles: [...figure.querySelectorAll("svg .role-axis-title text")].map((text) => text.textContent),
        }))"""
    )
    names = {figure["name"] for figure in figures}
    assert {"verdict_intervals", "effects_test_top1_best", "pareto_size", "pareto_ops", "importance"} <= names
    assert any(name.startswith("curves_") for name in names)
    for figure in figures:
        assert figure["marks"] > 0, figure
        assert figure["titles"], figure
    titles = {title for figure in figures for title in figure["titles"]}
    assert {
        "difference (points of accuracy)",
        "deployed size (MiB)",
        "top-1 accuracy (%)",
        "validation top-1 accuracy (%)",
        "share (%)",
    } <= titles


def test_the_published_networks_are_reference_points_where_the_data_are_the_same(tab, tmp_path):
    legend = "[...document.querySelectorAll('#pareto_size .mark-symbol path')].length"
    show(tab, tmp_path, authors_sixteen())
    with_published = tab.evaluate(legend)
    show(tab, tmp_path, SMALL)
    assert with_published > tab.evaluate(legend)
    assert "No published network was measured on digits" in tab.evaluate("document.body.textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_page(tab, tmp_path, scheme):
    show(tab, tmp_path, SMALL_WITH_GAPS, scheme=scheme)
    for selector in ("p", "td", "th", "nav a", ".note", "[data-tone]", "svg text"):
        # 4.5: WCAG 2.1, level AA for text.
        assert tab.evaluate(f"({CONTRAST})({selector!r})") >= 4.5, selector


def test_dark_and_light_differ(tab, tmp_path):
    colours = set()
    for scheme in ("light", "dark"):
        show(tab, tmp_path, SMALL, scheme=scheme)
        colours.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_no_page_is_wider_than_its_window(tab, tmp_path, width):
    show(tab, tmp_path, SMALL, width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    widths = tab.evaluate("[...document.querySelectorAll('svg.marks')].map((svg) => svg.getBoundingClientRect().right)")
    assert max(widths) <= width


def test_a_printed_page_has_all_rows_and_no_controls(tab, tmp_path):
    show(tab, tmp_path, SMALL)
    tab.prefer("light", media="print")
    hidden = "['nav', 'input'].map((selector) => getComputedStyle(document.querySelector(selector)).display)"
    assert tab.evaluate(hidden) == ["none", "none"]
    assert tab.evaluate("getComputedStyle(document.querySelector('.long')).overflow") == "visible"
    tab.prefer("light")


def test_the_run_list_is_filtered_by_words(tab, tmp_path):
    show(tab, tmp_path, SMALL)
    type_in = """(() => {
      const input = document.querySelector("input[data-filters]");
      input.value = "E2 fp xnor";
      input.dispatchEvent(new Event("input"));
      return [...document.querySelectorAll("#table-runs tbody tr")].filter((row) => !row.hidden).length;
    })()"""
    assert tab.evaluate(type_in) == 4


def test_lines_name_the_runs_they_come_from(tab, tmp_path):
    study = SMALL
    show(tab, tmp_path, study)
    keys = tab.evaluate("document.querySelector('#table-verdicts tbody td.keys details').textContent")
    assert "16 runs" in keys
    e2 = next(run for run in study.observations if run.axes["variant"] == "e2")
    assert e2.record.run_key in keys


def test_text_that_looks_like_markup_stays_text(tab, tmp_path):
    show(tab, tmp_path, broken_study())
    assert tab.evaluate("document.querySelector('h1').textContent") == "A | B & C_d % <i>{x}</i>?"
    assert tab.evaluate("document.querySelectorAll('h1 i').length") == 0


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_dashboards_are_drawn(tab, tmp_path, name):
    show(tab, tmp_path, SMALL, SHIPPED[name])
    assert tab.console == []
    assert tab.evaluate("document.querySelectorAll('main section').length") == len(SHIPPED[name].panels)


def test_a_picture_of_it_can_be_taken(tab, tmp_path):
    show(tab, tmp_path, SMALL, scheme="dark")
    tab.screenshot(tmp_path / "page.png")
    assert Path(tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
