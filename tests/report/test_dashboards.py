"""Dashboards as their authors write them: what ships, what is read, what is wrong and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnnlab.report.dashboard import read_dashboard
from bnnlab.report.panels import PANELS
from bnnlab.sweep.mistakes import SpecError

SHIPPED = sorted((Path(__file__).parents[2] / "dashboards").glob("*.yaml"))


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_dashboards_are_read(path):
    assert read_dashboard(path).panels


def test_three_dashboards_ship():
    assert [path.stem for path in SHIPPED] == ["ablation", "architectures", "search"]


def test_panels_come_in_order_with_their_options(tmp_path):
    text = "title: Mine\npanels:\n- verdicts\n- {panel: curves, metrics: [val/loss]}\n- {panel: text, text: Hello.}\n"
    dashboard = read_dashboard(write(tmp_path, text))
    assert (dashboard.name, dashboard.title) == ("mine", "Mine")
    assert [panel.panel for panel in dashboard.panels] == ["verdicts", "curves", "text"]
    assert dashboard.panels[1].metrics == ("val/loss",)


def test_all_mistakes_come_at_once_each_at_its_place(tmp_path):
    text = (
        "titel: Mine\n"
        "panels:\n"
        "  - panel: verdict\n"
        "  - panel: curves\n"
        "    metric: [val/top1]\n"
        "  - panel: pareto\n"
        "    against: [sise]\n"
        "  - title: Nothing\n"
    )
    with pytest.raises(SpecError) as error:
        read_dashboard(write(tmp_path, text))
    message = str(error.value)
    assert "mine.yaml:1:1: titel: unknown field 'titel'" in message
    assert "mine.yaml:3:12: panels[0]: unknown panel 'verdict'" in message
    assert "Did you mean 'verdicts'?" in message
    assert "mine.yaml:5:5: panels[1].metric: unknown field 'metric'" in message
    assert "mine.yaml:7:15: panels[2].against[0]" in message
    assert "'panel' is required here" in message
    assert ", ".join(sorted(PANELS)) in message


@pytest.mark.parametrize("text", ["", "- verdicts\n", "title: x\n", "panels: verdicts\n"])
def test_what_is_no_dashboard_is_refused(tmp_path, text):
    with pytest.raises(SpecError):
        read_dashboard(write(tmp_path, text))
