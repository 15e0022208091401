"""The paper's published numbers beside the measured ones, in every table that has them."""

import csv
import io
import re
import subprocess
import sys

import pytest
import yaml
from aggregated_files import main_table, risk_table, write_comparisons
from fdistill import config
from fdistill.artifacts.files import write_json
from fdistill.evaluation import published
from fdistill.evaluation.tables import comparison, datasets_table, sections
from fdistill.evaluation.tables.formats import to_csv
from fdistill.evaluation.tables.latex import to_latex
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.evaluation.tables.page import to_html
from paper_tables import (
    LAYOUT,
    SHIFT,
    STUDENTS,
    TABLE_2,
    TABLE_3,
    TASKS,
    below,
    metrics_file,
    printed,
    rows_of,
    write_metrics,
    write_risks,
)
from snake import ROOT

SCRIPT = ROOT / "workflow" / "scripts" / "tables.py"
TABLE_6 = published.read("fdistill_table6")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    return write_metrics(tmp_path_factory.mktemp("metrics"))


def test_main_table_beside_the_paper(metrics):
    table = main_table(metrics, TASKS, LAYOUT, TABLE_2)
    dart, *others = rows_of(to_markdown(table))
    assert below(dart, "Pre-distill") == {
        "paper": ["45.60", "36.99", "47.10", "81.39", "66.75", "34.08"],
        "difference": ["+0.25"] * 6,
    }
    assert below(others[1], "JS")["paper"][1] == "51.50"
    assert [below(panel, "JS")["difference"] for panel in others] == [["+0.25"] * 3] * 3
    for panel in (dart, *others):  # the teacher and eight students; neither copying nor js_exact is in the paper
        names = [row[1] for row in panel]
        assert names.count("*paper*") == names.count("*difference*") == 9
        assert names[-1] == "JS (exact mixture)" and names[5:7] == ["Copy", "Non-distill (MLE)"]
        assert set(panel[4][2:]) == {"*0.00*"}  # the teacher is the paper's
    assert table.notes == [f"Rows 'paper': {TABLE_2.source} (0 to 100). Rows 'difference': measured less the paper's."]


def test_without_comparison_no_published_number_is_shown(metrics):
    table = main_table(metrics, TASKS, LAYOUT)
    assert not table.notes and "published" not in table.records
    assert "paper" not in to_markdown(table)


def test_csv_beside_the_paper(metrics):
    records = list(csv.DictReader(io.StringIO(to_csv(main_table(metrics, TASKS, LAYOUT, TABLE_2)))))
    by_place = {(r["task"], r["system"], r["metric"]): r for r in records}
    assert len(by_place) == sum(len(row) - 1 for rows in TABLE_2.tasks.values() for row in rows) + 2 * 15
    for (task, system, metric), record in by_place.items():
        if system in ("copy", "js_exact"):
            assert record["published"] == record["difference"] == ""
        else:
            assert float(record["published"]) == printed(task)[system][metric]
            shift = 0 if system == "teacher" else SHIFT
            assert float(record["difference"]) == pytest.approx(shift, abs=1e-9)


def test_a_missing_value_leaves_the_published_one(tmp_path):
    path = metrics_file(tmp_path, "dart", "js", {"bleu4": 46.0, "bleurt": 1.0}, missing=["bleurt"])
    table = main_table([path], TASKS, sections({}, {}, {"js": "JS"}), TABLE_2)
    [panel] = rows_of(to_markdown(table))
    assert below(panel, "JS") == {"paper": ["46.85", "36.81"], "difference": ["−0.85", ""]}
    assert list(table.records["difference"]) == [pytest.approx(-0.85), None]


def test_tasks_that_are_not_the_papers_have_no_numbers(tmp_path):
    paths = [metrics_file(tmp_path, task, "js", {"bleu4": 46.0}) for task in ("dart", "data_to_text", "en_ro")]
    layout = sections({}, {}, {"js": "JS"})
    tasks = {"data_to_text": "Data-to-text", "dart": "DART", "en_ro": "EN-RO"}
    table = main_table(paths, tasks, layout, TABLE_2)
    _, dart, _ = rows_of(to_markdown(table))
    assert below(dart, "JS") == {"paper": ["46.85"], "difference": ["−0.85"]}
    assert table.notes[1:] == ["The paper has no numbers for Data-to-text, EN-RO."]
    alone = main_table(paths[1:], {"data_to_text": "Data-to-text", "en_ro": "EN-RO"}, layout, TABLE_2)
    assert "*paper*" not in to_markdown(alone)
    assert alone.notes == ["The paper has no numbers for Data-to-text, EN-RO."]


def test_risk_table_beside_the_paper(tmp_path):
    table = risk_table(write_risks(tmp_path), TASKS, sections({"teacher": "Teacher"}, {}, STUDENTS), TABLE_3)
    dart, xsum, wmt, dialogue = rows_of(to_markdown(table))
    assert dart[0][-1] == "TeacherDist" and dart[2][0] == "Teacher" and dart[2][-1] == "25.98"
    assert [[cell.strip("*") for cell in row[1:]] for row in dart[3:5]] == [
        ["paper", "", "", "", "", "26.10"],
        ["difference", "", "", "", "", "−0.12"],
    ]
    none = ["", "", ""]
    assert below(dart, "RKL")["paper"] == ["0.58", "0.59", *none]
    assert below(xsum, "RKL")["paper"] == ["1.88", "1.83", *none]
    assert below(wmt, "TVD") == {"paper": ["1.21", "1.78", *none], "difference": ["+0.12", "+0.12", *none]}
    assert below(dialogue, "TVD") == {"paper": ["0.27", "0.35", *none], "difference": ["+0.12", "+0.12", *none]}
    for panel in (dart, xsum, wmt, dialogue):  # the teacher's TeacherDist, and four students
        assert [row[1] for row in panel].count("*paper*") == 5
    latex = to_latex(table)
    for number in ("26.10", "36.28"):
        assert rf" & \textit{{paper}} &  &  &  &  & \textit{{{number}}} \\" in latex
    assert r"$R_{\mathrm{llh}}$/token $\downarrow$" in latex
    assert "<i>R</i><sub>llh</sub>/token&nbsp;↓" in to_html(table)
    dist = table.records[table.records["metric"] == "teacher_dist"]
    assert [*zip(dist["published"], dist["difference"], strict=True)] == [
        (number, pytest.approx(-0.125)) for number in (26.10, 36.28, 23.13, 81.19)
    ]


@pytest.fixture
def manifests(tmp_path):
    """The sizes of Table 6, less one test input of XSum."""
    for task in TASKS:
        splits = {split: int(TABLE_6.number(task, split)) for split in ("train", "dev", "test")}
        splits["test"] -= task == "xsum"
        write_json(
            tmp_path / f"{task}.json",
            {
                **{"source": {"kind": task}, "split_rule": "given", "counts": [], "leakage": {}},
                **{"archives": [{"package": "hub/set", "version": "main"}], "splits": splits, "references": splits},
            },
        )
    return {task: tmp_path / f"{task}.json" for task in TASKS}


def test_datasets_table_beside_the_paper(manifests):
    labels = (dict.fromkeys(TASKS, "–"), dict.fromkeys(TASKS, "text"))
    table = datasets_table(manifests, TASKS, *labels, TABLE_6)
    rows = table.cells.to_numpy().tolist()
    source = "hub/set main (licence not stated)"
    assert rows[:6] == [
        ["DART", source, "30,526", "2,768", "4,159", "2,768", "4,159"],
        ["paper", "", "30,526", "2,768", "4,159", "", ""],
        ["difference", "", "0", "0", "0", "", ""],
        ["XSum", source, "204,045", "11,332", "11,333", "11,332", "11,333"],
        ["paper", "", "204,045", "11,332", "11,334", "", ""],
        ["difference", "", "0", "0", "−1", "", ""],
    ]
    assert len(rows) == 12 and len(table.headings) == 7  # no column Stands for, as these tasks stand for no others
    record = list(csv.DictReader(io.StringIO(to_csv(table))))[1]
    assert [record[f"test_{key}"] for key in ("inputs", "published", "difference")] == ["11333", "11334", "-1"]
    assert "test_published" not in datasets_table(manifests, TASKS, *labels).records


@pytest.mark.parametrize(
    ("measured", "text", "form", "shown"),
    [
        (46.846, "46.85", ".2f", "0.00"),
        (46.854, "46.85", ".2f", "0.00"),
        (46.862, "46.85", ".2f", "+0.01"),
        (46.838, "46.85", ".2f", "−0.01"),
        (5, "2768", ",.0f", "−2,763"),
        (2768, "2768", ",.0f", "0"),
        (None, "46.85", ".2f", ""),
    ],
)
def test_differences_as_they_are_shown(measured, text, form, shown):
    compared = comparison.compare(measured, text)
    assert comparison.shown("difference", compared["difference"], form) == shown
    assert float(comparison.shown("published", compared["published"], form).replace(",", "")) == float(text)
    assert comparison.compare(measured, None) == {"published": None, "difference": None}


def test_systems_stand_apart_with_their_rows(metrics):
    table = main_table(metrics, TASKS, LAYOUT, TABLE_2)
    latex = to_latex(table)
    assert latex.count(r"\begin{table*}") == 2 and latex.count(r"\addtocounter{table}{-1}") == 1  # a page each
    assert latex.count(r"\addlinespace") == 2 * 8  # before each student but the first
    assert r" & \textit{difference} & \textit{+0.25}" in latex
    page = to_html(table)
    assert (
        len(re.findall(r'<tr class="aside">\n<td class="name"></td>\n<th class="name" scope="row">paper</th>', page))
        == 18
    )
    assert "<td>+0.25</td>" in page


def test_script_with_the_comparison(metrics, tmp_path):
    output = [tmp_path / f"main.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    command = [
        *(sys.executable, SCRIPT, "main", "--metrics", *metrics, "--tasks", *(f"{k}={v}" for k, v in TASKS.items())),
        *("--teacher", "teacher=Teacher", "--trivial", "copy=Copy", "--students"),
        *(f"{key}={title}" for key, title in STUDENTS.items()),
        *("js_exact=JS (exact mixture)", "--compare-with=paper", "--output", *output, "--comparisons"),
        *(f"{file.name.partition('.')[0]}={file}" for file in write_comparisons(metrics, [*STUDENTS, "js_exact"])),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = main_table(metrics, TASKS, LAYOUT, TABLE_2)
    formats = (to_csv, to_markdown, to_latex, to_html)
    assert [path.read_text(encoding="utf-8") for path in output] == [write(table) for write in formats]


@pytest.mark.parametrize(("names", "expected"), [(["config"], "none"), (["config", "paper"], "paper")])
def test_the_papers_study_asks_for_the_comparison(names, expected):
    files = [ROOT / f"config/{name}.yaml" for name in names]
    merged = {}
    for file in files:
        merged |= yaml.safe_load(file.read_text())
    assert config.load(merged, files, ROOT).tables == {"compare_with": expected}
