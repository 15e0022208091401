"""The tables' pages in a real browser: on the width of a phone the page fits, and only the tables scroll."""

import pandas as pd
from browser import measure
from fdistill.artifacts.files import write_json
from fdistill.evaluation.tables import datasets_table
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.table import Table, cells_of
from report_files import MANIFEST

# Of the page of a table in the report that Snakemake makes, in a window of 1,400 pixels.
IN_SNAKEMAKES_REPORT = 1120


def grouped(rows, headings):
    columns = [("", ""), ("", "Model"), *(("task", heading) for heading in headings)]
    return cells_of(pd.MultiIndex.from_tuples(columns), [rows])


def test_a_wide_table_scrolls_within_a_page_that_fits_a_phone(tmp_path):
    names = ["Non-distill (MLE)", "A method whose title has many words, and then some more"]
    cells = grouped(
        [["Student", name, *["12.34 ± 0.56 (+0.12)"] * 9] for name in names], [f"M {i} ↑" for i in range(9)]
    )
    notes = ["A note " * 40 + "x" * 300]
    table = Table("A caption of many words. " * 9, cells, names=2, notes=notes, title="Main results")
    shown = measure(to_html(table), tmp_path)
    assert shown["title"] == "Main results"
    assert shown["page"] == shown["frame"] <= 390  # the page does not scroll sideways
    assert shown["tables"][0] > 390  # the table does, within its frame
    assert shown["cut"] == 0  # no text reaches into the next cell
    assert max(shown["heights"]) - min(shown["heights"]) <= 1  # no name is broken over lines; a rule is a pixel


def test_long_texts_and_long_words_wrap(tmp_path):
    rows = [["Data-to-text", "Reference", "some words " * 40], ["", "KL", "x" * 300]]
    table = Table("caption", cells_of(["Task", "System", "Text"], [rows]), names=3, widths={"Text": 0.65})
    shown = measure(to_html(table), tmp_path)
    assert shown["page"] == shown["frame"] and shown["tables"][0] < 500 and shown["cut"] == 0


def test_the_table_of_data_sets_does_not_scroll_on_a_laptop(tmp_path):
    """Of two tasks with all columns: leakage of every kind in two splits, and the paper's tasks."""
    archive = {"version": "2026.1.1", "licence": "GPL-3.0-or-later (the package's code, which is not run)"}
    archives = [{"package": name, **archive} for name in ("spacy-lookups-data", "nltk-data-of-a-long-name")]
    write_json(tmp_path / "manifest.json", MANIFEST | {"archives": archives})
    tasks = {"a": "Pronunciation", "b": "Data-to-text"}
    texts = dict.fromkeys(tasks, "Commonsense Dialogue"), dict.fromkeys(tasks, "records")
    table = datasets_table(dict.fromkeys(tasks, tmp_path / "manifest.json"), tasks, *texts)
    shown = measure(to_html(table), tmp_path, width=IN_SNAKEMAKES_REPORT)
    assert shown["page"] == shown["frame"] == IN_SNAKEMAKES_REPORT and shown["cut"] == 0
    assert (
        len(shown["boxes"]) == 2 and max(shown["boxes"]) <= IN_SNAKEMAKES_REPORT - 2 * 20
    )  # its frame does not scroll
