"""What the report of a search says, from trials that are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chromium import browse
from sample_searches import nothing_yet, one_objective, two_objectives
from sample_studies import simulated
from test_report_build import EVERY_PANEL, as_terminal, lines_of
from test_report_page import CONTRAST, show

from bnnlab.paper.published import TABLES
from bnnlab.report.build import build_report
from bnnlab.report.dashboard import SEARCH, read_dashboard
from bnnlab.report.numbers import STATUS_MARKS

TWO, ONE = two_objectives(), one_objective()
SEARCHES = {"two objectives": TWO, "one objective": ONE, "few trials": two_objectives(3), "nothing yet": nothing_yet()}


def figures(report):
    return {block.name: block for section in report.sections for block in section.blocks if hasattr(block, "spec")}


def rows_of(figure):
    """Every record that a figure draws."""
    return [row for rows in figure.spec["datasets"].values() for row in rows]


def axis_titles(spec):
    if isinstance(spec, dict):
        for channel in ("x", "y"):
            title = spec.get("encoding", {}).get(channel, {}).get("title")
            yield from [title] if title else []
        for layer in spec.get("layer", []):
            yield from axis_titles(layer)


# -- what is said -----------------------------------------------------------------


def test_the_shipped_dashboard_is_what_a_search_gets_without_one():
    shipped = read_dashboard(Path(__file__).parents[2] / "dashboards" / "search.yaml")
    assert shipped == SEARCH


def test_the_front_is_drawn_in_per_cent_and_mib_with_what_was_given_first_by_name():
    front = figures(build_report(TWO, SEARCH))["front_model_size_mib"]
    assert set(axis_titles(front.spec)) == {"deployed size (MiB)", "validation top-1 accuracy (%)"}
    rows = {row["what"]: row for row in rows_of(front)}
    first = TWO.search.trial(0)
    drawn = rows["trial 0 (binary_densenet28)"]
    assert drawn["x"] == pytest.approx(first.values["model/size_mib"], rel=1e-5)
    assert drawn["y"] == pytest.approx(100 * first.values["val/top1"], rel=1e-5)
    assert {label for label, row in rows.items() if row["kind"] == "on the front"} == {
        f"trial {number}" + (" (binary_densenet28)" if number == 0 else "") for number in TWO.search.front
    }
    larger = [label for label, row in rows.items() if row["kind"] == "breaks a constraint"]
    assert larger
    assert all(rows[label]["x"] > 4.1 for label in larger)


def test_published_networks_stand_beside_where_the_data_are_the_same_with_their_status():
    rows = rows_of(figures(build_report(TWO, SEARCH))["front_model_size_mib"])
    published = [row for row in rows if row["kind"] == "published"]
    assert published
    assert all(row["from"] for row in published), "each has its source"
    known = [row for table in TABLES.values() for row in table.rows if row.config.get("data.name") == "cifar10"]
    assert {row["what"] for row in published} <= {row.label + STATUS_MARKS[row.status] for row in known}
    elsewhere = build_report(two_objectives(data="digits"), SEARCH)
    assert "published" not in {row.get("kind") for row in rows_of(figures(elsewhere)["front_model_size_mib"])}
    assert "No published network was measured on digits" in " ".join(as_terminal(elsewhere).split())


def test_trials_without_a_result_are_counted_and_told():
    report = build_report(TWO, SEARCH)
    text = " ".join(as_terminal(report).split())
    assert "trials 24 of 24 completed, 1 diverged, 1 pruned, 1 refused, 1 running, 1 same" in text
    assert "29 trials: 24 of 24 completed; 1 ended early by the pruner; 1 whose training diverged" in text
    states = [line["state"] for line in lines_of(report, "trials")]
    assert len(states) == 29
    assert states[24:] == ["pruned", "refused", "same", "diverged", "running"]
    assert lines_of(report, "trials")[25]["why it ended"] == "model/size_mib is 8.1, not ≤ 4.1"


def test_the_best_trials_have_the_command_that_trains_them_again():
    lines = lines_of(build_report(TWO, SEARCH), "best_trials")
    best = [int(float(line["trial"])) for line in lines if line["standing"] == "on the front"]
    assert best == [trial.number for trial in TWO.search.best]
    assert [line["trains it again"] for line in lines[: len(best)]] == [TWO.commands[number] for number in best]
    refused = lines[-1]
    assert refused["standing"] == "refused: model/size_mib is 8.1, not ≤ 4.1"
    assert refused["trains it again"] == "–"
    accuracies = [float(line["val/top1"]) for line in lines[: len(best)]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert lines[0]["runs"] == " ".join(TWO.search.best[0].run_keys)


def test_for_one_objective_the_best_few_are_listed_and_one_is_the_best():
    report = build_report(ONE, SEARCH)
    lines = lines_of(report, "best_trials")
    assert len(lines) == 5
    number = max(ONE.search.completed, key=lambda trial: trial.values["val/top1"]).number
    assert [line["standing"] for line in lines] == ["best", *[f"beaten by trial {number}"] * 4]
    text = " ".join(as_terminal(report).split())
    assert "All completed trials have the same deployed size of 0.52 MiB" in text


def test_the_history_is_the_best_so_far_or_the_share_of_the_hypervolume_at_the_end():
    one = figures(build_report(ONE, SEARCH))["history"]
    line = [row["value"] for row in rows_of(one) if "what" not in row]
    values = [100 * trial.values["val/top1"] for trial in ONE.search.completed]
    assert line == pytest.approx([max(values[: at + 1]) for at in range(len(values))], rel=1e-5)
    two = figures(build_report(TWO, SEARCH))["history"]
    shares = [row["share"] for row in rows_of(two)]
    assert (shares[0], shares[-1]) == (0, 100)
    assert shares == sorted(shares)
    worst = TWO.search.worst
    assert f"({100 * worst['val/top1']:.2f} %, {worst['model/size_mib']:.2f} MiB)" in two.description


def test_importances_say_how_many_trials_they_rest_on():
    text = " ".join(as_terminal(build_report(TWO, SEARCH)).split())
    assert "Read with care: the best tenth of 24 completed trials is 3 trials" in text
    few = build_report(two_objectives(3), SEARCH)
    assert "3 completed trials: PED-ANOVA needs ten" in " ".join(as_terminal(few).split())
    assert "importance" not in figures(few)
    lines = lines_of(build_report(TWO, SEARCH), "importance")
    assert [(line["parameter"], float(line["deployed size (%)"])) for line in lines] == [
        ("growth_rate", 0.6),
        ("blocks_1", 0.3),
        ("blocks_2", 0.1),
    ]


def test_a_slice_has_the_trials_that_have_its_parameter():
    drawn = figures(build_report(ONE, SEARCH))
    count = {name: len(rows_of(figure)) for name, figure in drawn.items() if name.startswith("slice_")}
    assert count == {"slice_optimizer": 12, "slice_lr": 12, "slice_momentum": 6}
    assert drawn["slice_lr"].spec["encoding"]["x"]["scale"]["type"] == "log"


def test_a_pruned_trial_is_in_the_slices_where_it_was_ended():
    drawn = figures(build_report(TWO, SEARCH))["slice_growth_rate"]
    assert [(row["x"], row["y"]) for row in rows_of(drawn) if row["kind"] == "pruned"] == [(128, 40.0)]
    assert "Grey: 1 pruned trial, where each stood when it was ended" in " ".join(
        as_terminal(build_report(TWO, SEARCH)).split()
    )


def test_parallel_coordinates_place_each_value_in_its_searched_range():
    rows = rows_of(figures(build_report(TWO, SEARCH))["parallel"])
    growth = [row for row in rows if row["row"] == "growth_rate" and "what" in row]
    assert len(growth) == 24
    for row in growth:
        assert row["at"] == pytest.approx((float(row["value"]) - 32) / 96, abs=1e-5)
    ends = [row["text"] for row in rows if row["row"] == "growth_rate" and "text" in row]
    assert ends == ["32", "128"]
    by_lr = [row for row in rows_of(figures(build_report(ONE, SEARCH))["parallel"]) if row["row"] == "lr (log)"]
    assert all(0 <= row["at"] <= 1 for row in by_lr)


def test_the_course_of_a_pruned_trial_ends_where_it_was_ended():
    rows = [row for row in rows_of(figures(build_report(TWO, SEARCH))["courses"]) if row["what"] == "trial 24"]
    assert {row["kind"] for row in rows} == {"pruned"}
    assert max(row["epoch"] for row in rows) == 2


def test_json_keeps_what_scripts_rely_on_and_has_the_search():
    found = build_report(TWO, SEARCH).json()
    json.dumps(found, allow_nan=False)
    assert (found["study"], found["profile"], found["plan"]) == ("growth_and_depth", "cifar10", "0123456789ab")
    assert found["claims"] == []
    assert len(found["cells"]) == 25
    assert found["cells"][0]["axes"]["trial"] == "0"
    assert found["cells"][0]["metrics"]["test/top1"]["n"] == 1
    assert found["search"]["front"] == list(TWO.search.front)
    assert found["search"]["counts"]["completed"] == 24
    assert found["search"]["trials"][0]["name"] == "binary_densenet28"


def test_the_same_trials_give_the_same_bytes():
    assert build_report(two_objectives(), SEARCH).html() == build_report(two_objectives(), SEARCH).html()


@pytest.mark.parametrize("study", SEARCHES.values(), ids=SEARCHES)
def test_no_panel_fails_for_what_a_search_lacks(study):
    report = build_report(study, EVERY_PANEL)
    assert len(report.sections) == len(EVERY_PANEL.panels)
    assert report.markdown()
    assert report.csv()


def test_a_study_has_no_trials_and_says_so():
    text = " ".join(as_terminal(build_report(simulated(seeds=1, epochs=2), SEARCH)).split())
    assert text.count("This is a study: its points were given, and no trial was proposed.") == 7


# -- what is drawn ----------------------------------------------------------------


@pytest.fixture(scope="module")
def tab():
    with browse() as page:
        yield page


@pytest.mark.parametrize("study", SEARCHES.values(), ids=SEARCHES)
def test_the_page_fetches_nothing_and_complains_about_nothing(tab, tmp_path, study):
    path = show(tab, tmp_path, study, SEARCH)
    assert tab.console == []
    assert tab.requests == [path.as_uri()]


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("study", [TWO, ONE], ids=["two", "one"])
def test_every_figure_has_marks_and_no_label_is_cut_off(tab, tmp_path, study, width):
    show(tab, tmp_path, study, SEARCH, width=width)
    drawn = tab.evaluate(
        """[...document.querySelectorAll("figure")].map((figure) => {
            const svg = figure.querySelector("svg.marks");
            const box = svg.getBoundingClientRect();
            const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim());
            return {
              name: figure.id,
              marks: svg.querySelectorAll(".mark-symbol path, .mark-line path, .mark-rect path").length,
              outside: texts.filter((text) => {
                const own = text.getBoundingClientRect();
                return own.left < box.left - 1 || own.right > box.right + 1;
              }).map((text) => text.textContent),
            };
        })"""
    )
    assert {figure["name"] for figure in drawn} == set(figures(build_report(study, SEARCH)))
    for figure in drawn:
        assert figure["marks"] > 0, figure
        assert figure["outside"] == [], figure


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_page(tab, tmp_path, scheme):
    show(tab, tmp_path, TWO, SEARCH, scheme=scheme)
    for selector in ("p", "td", "th", "nav a", ".note", "[data-tone]", "svg text"):
        assert tab.evaluate(f"({CONTRAST})({selector!r})") >= 4.5, selector


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("study", [TWO, ONE], ids=["two", "one"])
def test_no_page_is_wider_than_its_window(tab, tmp_path, study, width):
    show(tab, tmp_path, study, SEARCH, width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    right = tab.evaluate("[...document.querySelectorAll('svg.marks')].map((svg) => svg.getBoundingClientRect().right)")
    assert max(right) <= width
