"""Tables: what is marked, what is escaped, what the CSV keeps, and what is refused."""

import csv
import io
import re
import subprocess
import sys

import pytest
from fdistill.artifacts.files import write_json, write_parquet
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.tables import datasets_table, examples_table, main_table, risk_table, sections
from fdistill.evaluation.tables.formats import write
from fdistill.evaluation.tables.latex import escape_latex, to_latex
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.records import marks
from fdistill.evaluation.tables.render import (
    Cell,
    Column,
    Table,
    escape_markdown,
    panels,
    to_csv,
    to_markdown,
)
from fdistill.runtime.errors import UserError
from snake import ROOT

SCRIPT = ROOT / "workflow" / "scripts" / "tables.py"
TASKS = {"d2t": "Data_to_text", "mt": "EN & RO"}
STUDENTS = {"mle": "Non-distill (MLE)", "kl": "KL", "js": "JS", "tvd": "TVD"}
LAYOUT = sections({"teacher": "Teacher"}, {"copy": "Copy"}, STUDENTS)
PLACES = ("best", "second")


def cells(markdown):
    """Rows of all Markdown tables in a text, by their `Model` cell (or the section's, when that is empty)."""
    rows = {}
    for line in markdown.splitlines():
        if line.startswith("|"):
            first, second, *values = (cell.strip() for cell in line.strip("|").split("|"))
            rows.setdefault(second or first, []).extend(values)
    return rows


# Ranking


@pytest.mark.parametrize(
    ("values", "better", "expected"),
    [
        ({"a": 1.0, "b": 3.0, "c": 2.0}, "higher", {"a": "", "b": "best", "c": "second"}),
        ({"a": 1.0, "b": 3.0, "c": 2.0}, "lower", {"a": "best", "b": "", "c": "second"}),
        (
            {"a": 3.0, "b": 3.0, "c": 2.0, "d": 1.0},
            "higher",
            {"a": "best", "b": "best", "c": "second", "d": ""},
        ),
        ({"a": 3.0, "b": 2.0, "c": 2.0}, "higher", {"a": "best", "b": "second", "c": "second"}),
        (
            {"a": 3.004, "b": 3.001, "c": 2.9},
            "higher",
            {"a": "best", "b": "best", "c": "second"},
        ),  # shown alike
        ({"a": -1.0}, "lower", {"a": "best"}),
        ({}, "lower", {}),
    ],
)
def test_marks(values, better, expected):
    assert marks(values, better, PLACES) == expected


# The main table


def metric(title, mean, direction="higher", std=None, signature="s", missing=None):
    return {
        **{"title": title, "direction": direction, "mean": mean, "std": std, "seeds": {"1": mean}},
        **{"signature": signature, "missing": missing},
    }


MISSING = {"reason": "no Java", "fix": "install Java"}
VALUES = {"teacher": 50.0, "copy": 60.0, "mle": 10.0, "kl": 1 / 3, "js": 30.0, "tvd": 20.0}


@pytest.fixture
def files(tmp_path):
    """BLEU and TER of two tasks, METEOR missing; JS was not run on the second task."""
    paths = []
    for task in TASKS:
        for system, value in VALUES.items():
            if (task, system) == ("mt", "js"):
                continue
            metrics = {
                "bleu4": metric("BLEU-4", value, std=0.5 if system == "kl" else None),
                "meteor": metric("METEOR", None, signature=None, missing=MISSING),
                "ter": metric("TER", value, "lower"),
            }
            path = tmp_path / f"{task}.{system}.json"
            write_json(path, {"task": task, "method": system, "n_inputs": 4, "metrics": metrics, "versions": {}})
            paths.append(path)
    return paths


def test_main_table_in_markdown(files):
    text = to_markdown(main_table(files[::-1], TASKS, LAYOUT))  # the order of the files does not matter
    rows = cells(text)
    assert rows["Model"] == ["BLEU-4 ↑", "METEOR ↑", "TER ↓"] * 2
    assert rows["Teacher"] == ["50.00", "n/a [1]", "50.00"] * 2  # neither the teacher nor copying is ranked
    assert rows["Copy"] == ["60.00", "n/a [1]", "60.00"] * 2
    assert rows["KL"] == ["0.33 ± 0.50", "n/a [1]", "**0.33**"] * 2
    assert rows["Non-distill (MLE)"] == [
        "10.00",
        "n/a [1]",
        "<u>10.00</u>",
        "<u>10.00</u>",
        "n/a [1]",
        "<u>10.00</u>",
    ]
    assert rows["JS"] == ["**30.00**", "n/a [1]", "30.00", "–", "–", "–"]
    assert rows["TVD"] == ["<u>20.00</u>", "n/a [1]", "20.00", "**20.00**", "n/a [1]", "20.00"]
    assert text.count("[1] METEOR: no Java. Remedy: install Java.") == 1
    assert r"Data\_to\_text" in text


def test_rows_keep_the_given_order_and_sections(files):
    table = main_table(files, TASKS, LAYOUT)
    names = [[tuple(cell.text for cell in row[:2]) for row in section] for section in table.sections]
    assert names[:2] == [[("Teacher", "")], [("Trivial", "Copy")]]
    assert names[2] == [("Student", "Non-distill (MLE)"), ("", "KL"), ("", "JS"), ("", "TVD")]


def test_main_table_in_latex(files):
    text = to_latex(main_table(files, TASKS, LAYOUT))
    assert r"\multicolumn{3}{c}{Data\_to\_text} & \multicolumn{3}{c}{EN \& RO} \\" in text
    assert r"\cmidrule(lr){3-5}\cmidrule(lr){6-8}" in text
    assert r" & JS & \textbf{30.00} & n/a [1] & 30.00 & \textendash{}" in text
    assert r"\underline{20.00}" in text and r"0.33 $\pm$ 0.50" in text and r"BLEU-4 $\uparrow$" in text
    assert text.count(r"\midrule") == 3 and text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in body[1:]} == {7}  # the first line has the headings


def test_main_csv_is_long_and_in_full_precision(files):
    records = list(csv.DictReader(io.StringIO(to_csv(main_table(files, TASKS, LAYOUT)))))
    assert len(records) == 3 * len(files)
    by_place = {(r["task"], r["system"], r["metric"]): r for r in records}
    kl = by_place["mt", "kl", "bleu4"]
    assert float(kl["mean"]) == 1 / 3 and kl["std"] == "0.5" and kl["seeds"] == "1" and kl["signature"] == "s"
    assert by_place["d2t", "js", "bleu4"]["mark"] == "best" and by_place["d2t", "copy", "bleu4"]["mark"] == ""
    meteor = by_place["d2t", "kl", "meteor"]
    assert (meteor["mean"], meteor["missing_reason"], meteor["missing_fix"]) == (
        "",
        "no Java",
        "install Java",
    )


def test_main_table_refusals(files, tmp_path):
    with pytest.raises(UserError, match=r"d2t.teacher.json: task 'd2t', method 'teacher' has no place"):
        main_table(files, {"mt": "EN-RO"}, LAYOUT)
    with pytest.raises(UserError, match="a second file for task 'd2t', method 'teacher'"):
        main_table([files[0], files[0]], TASKS, LAYOUT)
    other = tmp_path / "other.json"
    metrics = {"bleu4": metric("BLEU-4", 1.0, signature="t")}
    write_json(other, {"task": "d2t", "method": "tvd", "n_inputs": 4, "metrics": metrics, "versions": {}})
    with pytest.raises(UserError, match=r"'bleu4' was computed in different ways for 'teacher' \(s\) and 'tvd' \(t\)"):
        main_table([files[0], other], TASKS, LAYOUT)


# Risks


def risk_file(path, task, system, llh, dist=26.1):
    keys = ("r_llh_token", "r_llh_sequence", "r_cvg_token", "r_cvg_sequence")
    risks = {key: {"mean": llh + i, "std": None, "seeds": {"1": llh + i}} for i, key in enumerate(keys)}
    risks["teacher_dist"] = {"mean": dist, "std": None, "seeds": {"1": dist}}
    write_json(path, {"task": task, "method": system, "n_inputs": 4, "risks": risks})
    return path


def test_risk_table(tmp_path):
    paths = [
        risk_file(tmp_path / f"{task}.{system}", task, system, llh)
        for task in TASKS
        for system, llh in (("teacher", 0.1), ("kl", 0.5), ("js", 0.25))
    ]
    table = risk_table(paths, TASKS, sections({"teacher": "Teacher"}, {}, {"kl": "KL", "js": "JS"}))
    rows = cells(to_markdown(table))
    assert rows["TeacherDist"] == ["26.10", "", "", ""] * 2
    assert rows["KL"] == ["0.50", "2.50", "1.50", "3.50"] * 2  # llh and cvg per token, then per sequence
    assert rows["JS"] == ["**0.25**", "**2.25**", "**1.25**", "**3.25**"] * 2
    assert rows["Teacher"] == ["0.10", "2.10", "1.10", "3.10"] * 2
    assert r"TeacherDist &  & \multicolumn{4}{c}{26.10} & \multicolumn{4}{c}{26.10} \\" in to_latex(table)
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [r["mean"] for r in records if r["metric"] == "teacher_dist"] == ["26.1", "26.1"]
    risk_file(paths[1], "d2t", "kl", 0.5, dist=30.0)
    with pytest.raises(UserError, match="different teacher samples"):
        risk_table(paths, TASKS, sections({"teacher": "Teacher"}, {}, {"kl": "KL", "js": "JS"}))


# Data sets and examples


def test_datasets_table(tmp_path):
    archive = {"version": "1.0", "filename": "x", "sha256": "y"}
    write_json(
        tmp_path / "m.json",
        {
            "source": {"kind": "botocore"},
            "split_rule": "by service",
            "counts": [],
            **{"splits": {"train": 24000, "dev": 200, "test": 400}, "references": {"dev": 300, "test": 1200}},
            "archives": [
                {"package": "a", "licence": "MIT", **archive},
                {"package": "b", "licence": "BSD", **archive},
                {"package": "c", "licence": "MIT", **archive},
            ],
            "leakage": {"dev": {"same_source": 0.125}, "test": {"same_source": 0.0, "same_target": 0.5}},
        },
    )
    described = ({"d2t": "DART", "mt": ""}, {"d2t": "records", "mt": "pairs"})
    table = datasets_table({"d2t": tmp_path / "m.json", "unused": tmp_path}, {"d2t": "Data-to-text"}, *described)
    [row] = table.sections[0]
    assert [cell.text for cell in row] == [
        *("Data-to-text", "DART", "a 1.0, c 1.0 (MIT); b 1.0 (BSD)", "24,000", "200", "400", "300", "1,200"),
        *("12.5", "0.0", "50.0"),
    ]
    [record] = csv.DictReader(io.StringIO(to_csv(table)))
    assert record["train_inputs"] == "24000" and record["dev_leakage_same_source"] == "0.125"
    assert "Data-to-text: records. Split: by service." in to_markdown(table)
    with pytest.raises(UserError, match="no manifest for task mt; give mt=FILE"):
        datasets_table({"d2t": tmp_path / "m.json"}, {"mt": "EN-RO"}, *described)


@pytest.fixture
def generations(tmp_path):
    ids = [str(i) for i in range(20)]
    sources = [f"source {i} | x\nsecond line " + "word " * 100 for i in ids]
    rows = {"id": ids, "group": ids, "source": sources, "references": [[f"first {i}", "second"] for i in ids]}
    write_parquet(tmp_path / "test.parquet", rows, SPLIT)
    for system in ("teacher", "kl"):
        rows = {
            "id": ids,
            "hypothesis": [f"{system} {i}" for i in ids],
            "n_tokens": [3] * 20,
            "finished": [True] * 20,
        }
        write_parquet(tmp_path / f"{system}.parquet", rows, GENERATIONS)
    return tmp_path


def examples(folder, seed):
    return examples_table(
        {"d2t": folder / "test.parquet"},
        {("d2t", system): folder / f"{system}.parquet" for system in ("kl", "teacher")},
        TASKS,
        {"teacher": "Teacher", "mle": "MLE", "kl": "KL"},
        count=2,
        seed=seed,
    )


def test_examples_table(generations):
    table = examples(generations, 1)
    assert len(table.sections) == 2
    rows = table.sections[0]
    chosen = rows[1][2].text.removeprefix("first ")
    assert [(row[0].text, row[1].text) for row in rows] == [
        *(("Data_to_text", "Input"), ("", "Reference"), ("", "Teacher"), ("", "KL"))
    ]
    assert [row[2].text for row in rows[1:]] == [f"first {chosen}", f"teacher {chosen}", f"kl {chosen}"]
    assert len(rows[0][2].text) == 400 and rows[0][2].text.endswith("…")
    assert r"\| x<br>second line" in to_markdown(table)
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [r["role"] for r in records[:4]] == ["source", "reference", "teacher", "kl"]
    assert records[0]["text"].endswith("word ") and "\n" in records[0]["text"]  # whole
    assert examples(generations, 1) == table
    picks = {tuple(r["id"] for r in examples(generations, seed).records) for seed in range(5)}
    assert len(picks) > 1


# Rendering


def test_escape_markdown():
    assert escape_markdown("a_b|c*d`e`<u>~$1$\\") == r"a\_b\|c\*d\`e\`\<u\>\~\$1\$" + "\\\\"
    assert escape_markdown("one\ntwo\r\nthree\tx") == "one<br>two<br>three x"
    assert escape_markdown("[1] [a](b) [a]: b [x]") == r"[1] [a\](b) [a\]: b [x]"
    assert escape_markdown("R&D &amp; &#38;") == r"R&D \&amp; \&#38;"


def test_escape_latex():
    assert escape_latex("a_b & 50% #1 $x {y}") == r"a\_b \& 50\% \#1 \$x \{y\}"
    assert escape_latex("\\^~|<>") == (
        r"\textbackslash{}\textasciicircum{}\textasciitilde{}\textbar{}\textless{}\textgreater{}"
    )
    assert escape_latex("one\r\ntwo\nthree") == r"one\newline{}two\newline{}three"
    assert escape_latex("[x] --flag*") == r"{[}x] -{}-flag*"


def test_wide_tables_are_cut_between_groups():
    groups = ["a"] * 6 + ["b"] * 3 + ["c"] * 3
    columns = [Column("name"), *(Column(f"{group}{i}", group, number=True) for i, group in enumerate(groups))]
    wide = [Cell("row"), Cell("all of a", span=6), *(Cell(f"v{i}") for i in range(6, 12))]
    first, second = panels(Table("", columns, [[wide]], []))
    assert [column.title for column in first.columns] == ["name", *(f"a{i}" for i in range(6))]
    assert [cell.text for cell in first.sections[0][0]] == ["row", "all of a"]
    assert [cell.text for cell in second.sections[0][0]] == ["row", *(f"v{i}" for i in range(6, 12))]


def test_latex_tables_longer_than_a_page_go_on_in_further_floats():
    columns = [Column("name"), Column("text", width=0.5)]

    def floats(*sections):
        rows = [[[Cell(name), Cell("x" * n)] for name, n in section] for section in sections]
        parts = to_latex(Table("caption", columns, rows, [], ["note"])).split(r"\begin{table*}")[1:]
        return [re.findall(r"^(\w+) & x|(\\midrule)", part, re.M) for part in parts], parts

    rule, line = ("", r"\midrule"), 40  # a line of the column has 40 characters
    names, [only] = floats([("a", 1), ("b", 15 * line)], [("c", 29 * line)])
    assert names == [[rule, ("a", ""), ("b", ""), rule, ("c", "")]]  # 45 lines
    assert r"\caption{caption}" in only and "note" in only
    names, [first, second] = floats([("a", 1), ("b", 15 * line)], [("c", 29 * line + 1)])
    assert names == [[rule, ("a", ""), ("b", "")], [rule, ("c", "")]]  # 46
    assert r"\caption{caption}" in first and "note" not in first
    assert r"\caption{(continued)}" in second and "note" in second
    assert first.endswith("\\end{table*}\n\\addtocounter{table}{-1}\n")  # both have one number
    names, _ = floats([("a", 1)], [("b", 20 * line), ("c", 20 * line), ("d", 20 * line)], [("e", 1)])
    assert names == [[rule, ("a", ""), rule, ("b", ""), ("c", "")], [rule, ("d", ""), rule, ("e", "")]]


def test_markdown_lines_up():
    lines = to_markdown(Table("c", [Column("x"), Column("long title", number=True)], [[[Cell("a|b"), Cell("1")]]], []))
    rows = [line for line in lines.splitlines() if line.startswith("|")]
    assert rows == ["| x    | long title |", "| ---- | ---------: |", r"| a\|b |          1 |"]


def test_unknown_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"unknown table format '.xlsx'; known: .csv, .md, .tex"):
        write(Table("", [Column("x")], [], []), [tmp_path / "a.csv", tmp_path / "a.xlsx"])
    assert not list(tmp_path.iterdir())


def test_script(files, tmp_path):
    output = [tmp_path / f"main.{suffix}" for suffix in ("csv", "md", "tex")]
    done = subprocess.run(
        [
            *(
                sys.executable,
                SCRIPT,
                "main",
                "--metrics",
                *files,
                "--tasks",
                *(f"{k}={v}" for k, v in TASKS.items()),
            ),
            *("--teacher", "teacher=Teacher", "--trivial", "copy=Copy"),
            *("--students", *(f"{k}={v}" for k, v in STUDENTS.items()), "--output", *output),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = main_table(files, TASKS, LAYOUT)
    assert [path.read_text() for path in output] == [to_csv(table), to_markdown(table), to_latex(table)]


def test_a_page_has_the_same_cells_and_escapes_them():
    rows = [[Cell("a<b"), Cell("1.0", "best")], [Cell("two\nlines"), Cell("2.0", "second")]]
    table = Table("A & B", [Column("Name"), Column("BLEU", "T", number=True)], [rows], [], ["<note>"])
    page = to_html(table)
    assert "<td>a&lt;b</td><td class=number><b>1.0</b></td>" in page
    assert "<td>two<br>lines</td><td class=number><u>2.0</u></td>" in page
    assert '<th colspan="1" class=group>T</th>' in page and "<p>&lt;note&gt;</p>" in page
