"""The main table of the paper's own study: the panels, columns, rows and marks of its Table 2."""

import re

import pytest
from aggregated_files import main_table
from fdistill.evaluation.metrics import METRICS
from fdistill.evaluation.tables.latex import to_latex
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.evaluation.tables.table import panels
from paper_tables import LAYOUT, STUDENTS, TASKS, printed, rows_of, write_metrics


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


def test_with_replicates_that_do_not_vary_the_best_of_every_column_leads(metrics):
    records = main_table(metrics, TASKS, LAYOUT).records
    leaders = records[records["leads"].fillna(False)].groupby(["task", "metric"])["system"].agg(list).to_dict()
    expected = {}
    for task in TASKS:
        for metric in printed(task)["teacher"]:
            values = {system: printed(task)[system][metric] for system in STUDENTS}
            expected[task, metric] = [(max if METRICS[metric].better == "higher" else min)(values, key=values.get)]
    assert leaders == expected


def test_latex_has_booktabs_groups_and_fits_the_page(metrics):
    text = to_latex(main_table(metrics, TASKS, LAYOUT))
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 1
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\resizebox") == 2
    assert r"\cmidrule(lr){3-5}\cmidrule(lr){6-8}\cmidrule(lr){9-11}" in text
    assert r" & TVD & \textbf{47.20} & \textbf{38.13} & \textbf{46.60}" in text
    assert r" & JS & 47.10 & 38.00 & 46.75" in text
    assert r"BERTScore $\uparrow$ & MoverScore $\uparrow$" in text and r"TER $\downarrow$" in text
