"""Tables of made-up figures: goals, ratios, and what is not there."""

import json
import re

import pytest
from serve.bench import engine, report
from serve.bench.found import CALLERS, Found, Load, Round
from serve.bench.servers import ASIF, ASIF_TWO, INFINITY, LITSERVE, NAIVE, PLAIN

# Answers a second, and the milliseconds of each.
FIGURES = {
    ASIF.name: (90, 10),
    NAIVE.name: (6, 40),
    PLAIN.name: (60, 11),
    LITSERVE.name: (17, 30),
    engine.NAME: (100, 9.8),
}


def found(name, rate, ms, **fields):
    loads = {count: Load(rate * 2, 2.0, [ms / 1000] * 100, client=rate * 2e-4) for count in CALLERS}
    return Found(name, f"about {name}", [Round(1.5, 240, 0.01, loads, **fields)])


@pytest.fixture
def results():
    made = {name: found(name, *figures) for name, figures in FIGURES.items()}
    made[ASIF.name].rounds[0].beside = [0.029] * 100
    made[INFINITY.name] = Found(INFINITY.name, "about infinity", failed="expected packages, found none")
    return made


def row(page, title, name):
    """The cells of one row of a table."""
    table = page.partition(f"## {title}")[2].partition("\n##")[0]
    [line] = [line for line in table.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def goals(results):
    sheet = report.sheets(results, CALLERS)[0]
    return {line[0]: line[1] for line in sheet.rows}


def test_each_goal_says_what_was_found_and_whether_it_is_met(results):
    assert list(goals(results).values()) == [
        "90 %: met",
        "15.0: met",
        "5.3: met",
        "1.50: met",
        "0.91: met",
        "0.20 ms: met",
        "240 MB: met",
        "1.50 s: met",
        "2.9: met",
    ]


def test_goals_that_are_missed_are_told(results):
    slow = found(ASIF.name, 70, 31, beside=[0.5])
    slow.rounds[0].start, slow.rounds[0].memory = 2.5, 300
    assert all(told.endswith(": not met") for told in goals(results | {ASIF.name: slow}).values() if "1.17" not in told)
    assert "1.17: not met" in goals(results | {ASIF.name: slow}).values()


def test_a_goal_without_its_figures_is_not_met_by_that(results):
    told = goals({ASIF.name: results[ASIF.name]})
    assert [told[goal] for goal in told if re.search("engine|naive|infinity|plain|each", goal)] == ["not measured"] * 6


def test_every_figure_stands_beside_that_of_this_server(results):
    page = report.markdown(results, CALLERS, [("machine", "two cores")])
    assert row(page, "64 callers", NAIVE.name) == [
        "6.0 (0.07)",
        "6.0",
        "40.0 (4.00)",
        "40.0 (4.00)",
        "40.0 (4.00)",
        "0",
    ]
    assert row(page, "8 callers", ASIF.name)[0] == "90.0 (1.00)"
    assert row(page, "Memory", PLAIN.name) == ["240 (1.00)", "1.50 (1.00)", "1.0"]
    assert row(page, "One caller:", ASIF.name) == ["10.00", "9.80", "0.20", "10.0", "29.0", "2.9"]
    assert "- machine: two cores" in page and "- client: 0.10 to 0.10 ms of processor time a request" in page


def test_a_server_that_could_not_be_measured_is_told_with_the_reason(results):
    page = report.markdown(results, CALLERS, [])
    assert f"- {INFINITY.name}: expected packages, found none" in page
    assert set(row(page, "1 caller", INFINITY.name)) == {"-"}


def test_rounds_that_differ_are_told(results):
    results[ASIF.name].rounds += found(ASIF.name, 70, 12).rounds
    assert row(report.markdown(results, CALLERS, []), "1 caller", ASIF.name)[:2] == ["80.0 (1.00)", "70.0 to 90.0"]


def test_a_page_says_that_figures_are_missing(results):
    assert "**3 are missing.**" in report.markdown(results, CALLERS, [], "3 are missing.")
    assert "missing" not in report.markdown(results, CALLERS, [])


def test_both_numbers_of_workers_are_judged(results):
    results[ASIF_TWO.name] = found(ASIF_TWO.name, 50, 20)
    sheet = report.sheets(results, CALLERS)[0]
    assert list(sheet.columns) == ["goal", ASIF.name, ASIF_TWO.name]
    assert sheet.rows[0][1:] == ["90 %: met", "50 %: not met"]


def test_figures_for_a_script_are_json(results):
    told = {one["server"]: one for one in json.loads(json.dumps(report.summary(results, CALLERS)))}
    assert told[NAIVE.name]["callers"]["64"] == {
        "requests_per_second": 6.0,
        "p50_ms": 40.0,
        "p95_ms": 40.0,
        "p99_ms": 40.0,
    }
    assert told[INFINITY.name]["failed"] and told[INFINITY.name]["resident_mb"] is None
