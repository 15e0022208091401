"""The tables' pages in a real browser: on the width of a phone the page fits, and only the tables scroll."""

import html
import json
import re
import subprocess

import pytest
from debian import Unavailable, install, program
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.render import Cell, Column, Table

# A frame of the width of a phone around the page; the script writes what it measures into the frame's parent.
FRAME = """<!DOCTYPE html><body style="margin: 0">
<iframe id=f width=390 height=800 style="border: 0" srcdoc="{page}"></iframe>
<pre id=measured></pre><script>
document.getElementById("f").onload = function () {{
  const d = this.contentDocument, root = d.documentElement;
  const lines = [...d.querySelectorAll("td.name")].map(c => c.getClientRects().length && c.offsetHeight);
  const tables = [...d.querySelectorAll("table")].map(t => t.offsetWidth);
  const shown = {{title: d.title, page: root.scrollWidth, frame: root.clientWidth, tables: tables, heights: lines}};
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


def measure(browser, page, folder):
    """What the frame's script measures of a page of 390 pixels."""
    file = folder / "frame.html"
    file.write_text(FRAME.format(page=html.escape(page)))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--virtual-time-budget=5000", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(html.unescape(re.search(r"<pre id=\"measured\">(.+?)</pre>", done.stdout, re.S).group(1)))


def test_a_wide_table_scrolls_within_a_page_that_fits_a_phone(browser, tmp_path):
    names = ["Non-distill (MLE)", "A method whose title has many words, and then some more"]
    columns = [Column(""), Column("Model"), *(Column(f"Metric {i} ↑", "A task", number=True) for i in range(9))]
    rows = [[Cell("Student"), Cell(name), *(Cell("12.34 ± 0.56 (+0.12)", "best") for _ in range(9))] for name in names]
    table = Table("A caption of many words. " * 9, columns, [rows], [], ["A note " * 40], title="Main results")
    shown = measure(browser, to_html(table), tmp_path)
    assert shown["title"] == "Main results"
    assert shown["page"] == shown["frame"] <= 390  # the page does not scroll sideways
    assert shown["tables"][0] > 390  # the table does, within its frame
    assert len(set(shown["heights"])) == 1  # no name is broken over lines


def test_long_texts_wrap(browser, tmp_path):
    columns = [Column("Task"), Column("System"), Column("Text", width=0.65)]
    rows = [[[Cell("Data-to-text"), Cell("Reference"), Cell("some words " * 40)]]]
    shown = measure(browser, to_html(Table("caption", columns, rows, [])), tmp_path)
    assert shown["page"] == shown["frame"] and shown["tables"][0] < 500
