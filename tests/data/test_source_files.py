"""The user's own data set: one task file describes it; errors in its files are refused."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from fdistill.artifacts.files import read_parquet
from fdistill.data.preparation import FILES
from fdistill.data.schemas import SPLIT
from fdistill.data.sources import source_module
from fdistill.runtime.errors import UserError
from published_files import load, pairs, write
from small_config import Project
from snake import ROOT, planned, snakemake

ROWS = [{"source": "a b", "target": "c"}, {"source": "d", "target": "e"}]

# The example of the documentation: its task file, and the commands that make its files.
PAGE = (ROOT / "docs/your_data.md").read_text()
(OWN_TASK,) = re.findall(r"```yaml title=\"config/tasks/capitals.yaml\"\n(.*?)```", PAGE, re.S)
(COMMANDS,) = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) if "capitals" in block]


def test_the_worked_example(tmp_path):
    """One task file and the files that it names: checked as a configuration, then prepared by the script."""
    project = Project(tmp_path)
    project.write("config/tasks/mine.yaml", OWN_TASK)
    *makes, runs = COMMANDS.splitlines()
    assert runs == "snakemake -c1 results/capitals/kl/metrics.json"
    subprocess.run("\n".join(makes), shell=True, cwd=tmp_path, check=True)
    options = project.load(tasks=["mine"]).task("mine")["source"]
    kind, outputs = options.pop("kind"), [f"--{split}={split}.parquet" for split in FILES]
    command = [sys.executable, ROOT / "workflow/scripts/prepare.py", f"--kind={kind}", "--manifest=manifest.json"]
    subprocess.run([*command, *outputs, "--options", json.dumps(options)], cwd=tmp_path, check=True)
    rows = {split: read_parquet(tmp_path / f"{split}.parquet", SPLIT)[0] for split in ("train", "dev", "test")}
    assert rows["train"] == {
        "id": ["train/line 2", "train/line 3"],
        "group": ["train/line 2", "train/line 3"],
        "source": ["Where is Rome?", "Paris, where is it?"],
        "references": [["In Italy."], ["In France."]],
    }
    assert rows["dev"]["references"] == [["In Switzerland.", "Switzerland."]]
    assert (rows["test"]["source"], rows["test"]["references"]) == (["Where is Lima?"], [["In Peru."]])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    files = ["train.csv", "dev.jsonl", "test.source", "test.target"]
    assert [origin["package"] for origin in manifest["archives"]] == files


def test_one_file_is_cut_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mydata").mkdir()
    rows = [{"source": f"NA, {n}", "target": ' "a"\nb'} for n in range(250)]
    write(tmp_path / "mydata/all.csv", rows)
    (code,) = re.findall(r"```python title=\"cut_pairs.py\"\n(.*?)```", PAGE, re.S)
    exec(code, {})
    path = {split: f"mydata/{split}.csv" for split in ("train", "dev", "test")}
    splits = source_module("files").load({}, {"path": path}).splits
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 50, "dev": 100, "test": 100}
    read = [(one.source, *one.references) for examples in splits.values() for one in examples]
    assert sorted(read) == sorted(tuple(row.values()) for row in rows)


def test_lines_of_one_file_are_cut_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mydata").mkdir()
    rows = [{"source": f"{n}\u2028", "target": ["a", "b"]} for n in range(250)]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)  # whose last line has no end
    (tmp_path / "mydata/all.jsonl").write_text(text, encoding="utf-8")
    (code,) = re.findall(r"```python title=\"cut_lines.py\"\n(.*?)```", PAGE, re.S)
    exec(code, {})
    path = {split: f"mydata/{split}.jsonl" for split in ("train", "dev", "test")}
    splits = source_module("files").load({}, {"path": path}).splits
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 50, "dev": 100, "test": 100}
    assert sorted(one.source for examples in splits.values() for one in examples) == sorted(r["source"] for r in rows)


def test_columns_of_other_names_groups_and_ids(tmp_path):
    rows = [
        {"q": "a", "a1": "b", "a2": "c", "talk": 7, "key": "x1"},
        {"q": "d", "a1": "e", "a2": "", "talk": 7, "key": 2},
    ]
    other = {"dev": [rows[0] | {"key": "y"}], "test": [rows[0] | {"key": "z"}]}
    names = {"source_column": "q", "target_column": ["a1", "a2"], "group_column": "talk", "id_column": "key"}
    corpus = load(tmp_path, "files", ".csv", rows, **other, **names)
    assert pairs(corpus, "train") == [("a", "b", "c"), ("d", "e")]
    assert [(one.id, one.group) for one in corpus.splits["train"]] == [("x1", "7"), ("2", "7")]


def test_missing_references_are_blank_or_null_in_every_format(tmp_path):
    rows = [{"source": "a", "t": None, "u": "b"}, {"source": "c", "t": "d", "u": "e"}]
    for suffix in (".jsonl", ".parquet", ".csv"):
        corpus = load(tmp_path, "files", suffix, rows, target_column=["t", "u"])
        assert pairs(corpus, "dev") == [("a", "b"), ("c", "d", "e")]


@pytest.mark.parametrize(
    ("suffix", "bad", "options", "message"),
    [
        (".csv", "source,target\na,b\nc, \n", {}, "train.csv, line 3: 'target' is empty; fill it in or remove the row"),
        (".tsv", "source\ttarget\n\tb\n", {}, "train.tsv, line 2: 'source' is empty"),
        (".source", [*ROWS, {"source": "f", "target": ""}], {}, "and train.target, line 3: 'target' is empty"),
        (".jsonl", [*ROWS, {"source": "a", "target": None}], {}, "line 3: 'target' is not text"),
        (
            ".jsonl",
            [{"source": "a", "target": []}],
            {},
            "line 1: 'target' is not a text or a list of texts, none of them",
        ),
        (".parquet", [{"source": "a", "target": ["b", ""]}], {}, "row 1: 'target' is not a text or a list of texts"),
        (".csv", "source,t,u\na, ,\n", {"target_column": ["t", "u"]}, "train.csv, line 2: t, u are all empty"),
        (".jsonl", [*ROWS, {"source": "a"}], {}, "line 3: no 'target' (found: source); rename the column"),
        (".csv", ROWS, {"id_column": "target"}, "dev.csv, line 2: id 'c' was given already ("),
        (
            ".jsonl",
            [ROWS[0] | {"id": 1}, ROWS[0] | {"id": "1"}],
            {"id_column": "id"},
            "train.jsonl, line 2: id '1' was given already (",
        ),
        (".jsonl", [ROWS[0] | {"g": None}], {"group_column": "g"}, "line 1: 'g' is not a name or a number"),
        (".csv", ROWS, {"expected_counts": {"train": 2, "dev": 3, "test": 2}}, "dev has 2 examples, not 3"),
    ],
)
def test_what_is_refused(tmp_path, suffix, bad, options, message):
    with pytest.raises(UserError) as error:
        load(tmp_path, "files", suffix, bad, **options)
    assert message in str(error.value)


def test_bad_rows_are_found_in_one_pass_and_the_first_ten_are_named(tmp_path):
    bad = [{"source": "", "target": "b"}] * 8
    with pytest.raises(UserError) as error:
        load(tmp_path, "files", ".csv", ROWS + bad, dev=bad + ROWS, test=ROWS)
    first, *lines, remedy = str(error.value).splitlines()
    assert first == "source.path: 16 of 22 rows cannot be used; the first 10:" and len(lines) == 10
    assert "dev.csv, line 3: " in lines[9] and remedy.endswith("source.on_bad_rows: drop")


def test_bad_rows_are_dropped_and_counted(tmp_path, caplog):
    bad = [{"source": "x", "target": ""}, *ROWS, {"source": "nul\0", "target": "b"}]
    corpus = load(tmp_path, "files", ".jsonl", bad, dev=ROWS, on_bad_rows="drop")
    assert pairs(corpus, "train") == [("a b", "c"), ("d", "e")]
    assert corpus.dropped == {"train": 2, "dev": 0, "test": 2}
    assert {"step": "train: rows that can be used", "before": 4, "after": 2} in corpus.counts
    assert "train: 2 bad rows dropped" in caplog.text and "line 4: has a NUL character" in caplog.text


def test_a_split_of_bad_rows_is_refused_even_if_they_may_be_dropped(tmp_path):
    for choice in ("refuse", "drop"):
        with pytest.raises(UserError, match=r"2 of 6 rows cannot be used:\n.*'source' is empty") as error:
            load(tmp_path, "files", ".csv", ROWS, dev=[{"source": "", "target": "b"}] * 2, on_bad_rows=choice)
        assert str(error.value).endswith("\nCorrect the files: every split needs a row that can be used")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl", ".source"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_column": "soruce"}, r"no column 'soruce' \(source\.source_column\); did you mean 'source'\?"),
        ({"target_column": ["target", "x"]}, r"no column 'x' \(source\.target_column\); found: source, target"),
        ({"group_column": "y"}, r"no column 'y' \(source\.group_column\); found: "),
        ({"id_column": "z"}, r"no column 'z' \(source\.id_column\); found: "),
    ],
)
def test_a_column_that_no_row_has_is_one_mistake(tmp_path, suffix, options, message):
    for choice in ("refuse", "drop"):
        with pytest.raises(UserError, match=rf"^/.*/train\{suffix}: {message}") as error:
            load(tmp_path, "files", suffix, ROWS * 20, **options, on_bad_rows=choice)
        assert len(str(error.value).splitlines()) == 1 and "drop" not in str(error.value)


@pytest.mark.parametrize(("suffix", "header"), [(".csv", "source;target"), (".tsv", "source,target")])
def test_a_table_with_another_delimiter_is_told_so(tmp_path, suffix, header):
    with pytest.raises(UserError, match=rf"'source' .*; its only column is '{header}'; separate columns by commas"):
        load(tmp_path, "files", suffix, f"{header}\na;b\n")


def test_the_licence_of_the_data_is_recorded(tmp_path):
    stated, unstated = (load(tmp_path, "files", ".csv", ROWS, **given) for given in ({"licence": "CC0-1.0"}, {}))
    assert [origin["licence"] for origin in stated.origins] == ["CC0-1.0"] * 3
    assert {origin["licence"] for origin in unstated.origins} == {"not stated"}


@pytest.mark.parametrize("content", ["source,target\n", "source,target\n\n"])
def test_a_header_alone_is_no_data(tmp_path, content):
    with pytest.raises(UserError, match=r"source\.path: .*train\.csv has no rows behind its header; give"):
        load(tmp_path, "files", ".csv", content)


# ---- before anything runs


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "~nosuchuser/a.csv",
            "source.path.dev: '~nosuchuser/a.csv': this machine knows no home folder for",
        ),
        ("results/mine/prepare/x.parquet", "source.path.dev: 'results/mine/prepare/x.parquet' is an output of this"),
    ],
)
def test_paths_that_cannot_be_read_are_refused_with_the_configuration(tmp_path, monkeypatch, file, message):
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    path = {"train": "a.csv", "dev": file, "test": "c.csv"}
    project.write("config/tasks/mine.yaml", yaml.safe_load(OWN_TASK) | {"source": {"kind": "files", "path": path}})
    (mistake,) = project.mistakes()
    assert mistake.startswith("config/tasks/mine.yaml: ") and message in mistake


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "source.path: missing; set a mapping"),
        (
            {"path": {"train": "a.csv", "dev": "b.csv"}},
            "must have a file for each of train, dev, test, and nothing else",
        ),
        (
            {"path": {"train": "a.csv", "dev": "b.doc", "test": "c.csv"}},
            "source.path.dev: 'b.doc' ends in none of .jsonl",
        ),
        ({"on_bad_rows": "skip"}, "source.on_bad_rows: 'skip' is unknown; known: refuse, drop"),
        (
            {"path": "data.tsv"},
            'source.path: "data.tsv" is not allowed; must be a mapping (One file per split: {train: FILE, dev: FILE, '
            "test: FILE}, and unlabelled: FILE if there are inputs without targets; docs/your_data.md splits one "
            "file.)",
        ),
        ({"path": dict.fromkeys(("train", "dev", "test"), "a.csv.GZ")}, "'a.csv.GZ' ends in none of .jsonl"),
        ({"licence": 3}, "source.licence: 3 is not allowed; must be text"),
        ({"target_column": 3}, "source.target_column: 3 is not allowed; must be text, or a list (each text)"),
        ({"sourcecolumn": "a"}, "source.sourcecolumn: unknown key; did you mean 'source_column'?"),
    ],
)
def test_options_are_checked_with_the_configuration(tmp_path, source, message):
    project = Project(tmp_path)
    path = {} if "path" in message else {"path": {split: f"{split}.csv" for split in ("train", "dev", "test")}}
    project.write("config/tasks/mine.yaml", yaml.safe_load(OWN_TASK) | {"source": {"kind": "files", **path, **source}})
    (mistake,) = project.mistakes()
    assert mistake.startswith("config/tasks/mine.yaml: ") and message in mistake


@pytest.mark.parametrize(
    ("given", "message"), [({}, "path: missing; give a mapping"), ({"source_column": 1}, "not text")]
)
def test_options_are_checked_by_hand_too(given, message):
    with pytest.raises(UserError, match=message):
        source_module("files").load({}, given)


def test_a_dry_run_refuses_a_missing_file(tmp_path):
    path = {split: write(tmp_path / f"{split}.source", ROWS) for split in ("train", "dev", "test")}
    study = {"task_overrides": {"xsum": {"source": {"path": path}}}}
    config = ["--configfile", write(tmp_path / "study.yaml", yaml.safe_dump(study))]
    target = "results/xsum/prepare/train.parquet"
    assert ("prepare", "task=xsum") in planned(snakemake("-n", target, *config, directory=tmp_path).stdout)
    (tmp_path / "dev.target").unlink()
    done = snakemake("-n", target, *config, directory=tmp_path, check=False)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "Missing input files for rule prepare" in done.stdout and str(tmp_path / "dev.target") in done.stdout
