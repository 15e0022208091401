"""The main table of the paper's own study: the panels, columns, rows and marks of its Table 2."""

import re

import pytest
from fdistill.evaluation.metrics import METRICS
from fdistill.evaluation.tables import main_table
from fdistill.evaluation.tables.latex import to_latex
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.evaluation.tables.table import panels
from paper_tables import LAYOUT, STUDENTS, TASKS, printed, rows_of, write_metrics
from snake import ROOT


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    return write_metrics(tmp_path_factory.mktemp("metrics"))


def test_panels_and_columns_are_those_of_table_2(metrics):
    table = main_table(metrics, TASKS, LAYOUT)
    panels_of_tasks = [[title for title, _ in panel.spans if title] for panel in panels(table)]
    assert panels_of_tasks == [["DART"], ["XSum", "WMT16 EN-RO", "Commonsense Dialogue"]]


def test_markdown_has_a_table_for_each_task(metrics):
    text = to_markdown(main_table(metrics, TASKS, LAYOUT))
    assert re.findall(r"^\*\*(.+)\*\*$", text, re.M) == ["DART", "XSum", "WMT16 EN-RO", "Commonsense Dialogue"]
    titles = {key: f"{metric.title} {'↑' if metric.better == 'higher' else '↓'}" for key, metric in METRICS.items()}
    for task, panel in zip(TASKS, rows_of(text), strict=True):
        assert panel[0] == ["", "Model", *(titles[key] for key in printed(task)["js"])]
        assert [row[:2] for row in panel[2:]] == [
            ["Teacher", ""],
            ["Trivial", "Copy"],
            ["Student", "Non-distill (MLE)"],
            *(["", title] for title in [*list(STUDENTS.values())[1:], "JS (exact mixture)"]),
        ]
    assert rows_of(text)[0][2][2:] == ["48.56", "39.28", "45.45", "83.04", "68.17", "40.56"]


def test_marks_are_those_of_table_2(metrics):
    """The paper's text has lost what is bold, and some of the underlining; the rest follows from the numbers."""
    records = main_table(metrics, TASKS, LAYOUT).records.to_dict("records")
    marked = {(r["task"], r["metric"], r["system"]): {1: "best", 2: "second"}.get(r["rank"], "") for r in records}
    for task in TASKS:
        for metric in printed(task)["teacher"]:
            values = {system: printed(task)[system][metric] for system in STUDENTS}
            best, second, *_ = sorted(values, key=values.get, reverse=METRICS[metric].better == "higher")
            marks = {system: marked[task, metric, system] for system in ("teacher", "copy", *STUDENTS)}
            assert marks == dict.fromkeys(marks, "") | {best: "best", second: "second"}
    lines = (ROOT / "tests/evaluation/papers/fdistill_table2.txt").read_text(encoding="utf-8").splitlines()
    underlined = []
    for panel, tasks in ((lines[:11], ["dart"]), (lines[12:], list(TASKS)[1:])):
        places = [(task, metric) for task in tasks for metric in printed(task)["teacher"]]
        for system, line in zip(["teacher", *STUDENTS], panel[2:], strict=True):
            cells = zip(places, line.split("\t")[2:], strict=True)
            underlined += [marked[*place, system] for place, cell in cells if cell.startswith("<u>")]
    assert underlined == ["second"] * 13


def test_latex_has_booktabs_groups_and_fits_the_page(metrics):
    text = to_latex(main_table(metrics, TASKS, LAYOUT))
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 1
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\resizebox") == 2
    assert r"\cmidrule(lr){3-5}\cmidrule(lr){6-8}\cmidrule(lr){9-11}" in text
    assert r" & TVD & \textbf{47.20} & \textbf{38.13} & \textbf{46.60}" in text
    assert r" & JS & \underline{47.10} & \underline{38.00} & \underline{46.75}" in text
    assert r"BERTScore $\uparrow$ & MoverScore $\uparrow$" in text and r"TER $\downarrow$" in text
