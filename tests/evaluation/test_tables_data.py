"""The tables of data sets and of example outputs."""

import csv
import io

import pytest
from fdistill.artifacts.files import write_json, write_parquet
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.tables import datasets_table, examples_table
from fdistill.evaluation.tables.formats import to_csv
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.runtime.errors import UserError


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
    [row] = table.cells.to_numpy().tolist()
    assert row == [
        *("Data-to-text", "DART", "a 1.0, c 1.0 (MIT); b 1.0 (BSD)", "24,000", "200", "400", "300", "1,200"),
        *("12.5", "0.0", "50.0"),
    ]
    [record] = csv.DictReader(io.StringIO(to_csv(table)))
    assert record["train_inputs"] == "24000" and record["dev_leakage_same_source"] == "0.125"
    assert "Data-to-text: records. Split: by service." in to_markdown(table)
    with pytest.raises(UserError, match="no manifest for task mt; give mt=FILE"):
        datasets_table({"d2t": tmp_path / "m.json"}, {"mt": "EN-RO"}, *described)


def test_unlabelled_inputs_are_counted_if_any_task_has_some(tmp_path):
    for name, count in (("with", 12000), ("without", 0)):
        given = {
            "source": {"kind": "files"},
            "archives": [],
            "split_rule": "as given",
            "references": {"dev": 1, "test": 1},
        }
        splits = {"train": 7000, "dev": 1, "test": 1, "unlabelled": count}
        leaks = {"dev": {"sources": 0.0}, "test": {"sources": 0.5}} | (
            {"unlabelled": {"sources": 0.25}} if count else {}
        )
        write_json(
            tmp_path / f"{name}.json", given | {"splits": splits, "leakage": leaks, "references": {"dev": 1, "test": 1}}
        )
    manifests = {name: tmp_path / f"{name}.json" for name in ("with", "without")}
    described = {name: "–" for name in manifests}, {name: "texts" for name in manifests}
    table = datasets_table(manifests, {"with": "With", "without": "Without"}, *described)
    assert ("sizes", "Unlabelled inputs") in list(table.cells.columns)
    assert table.cells.to_numpy().tolist() == [
        ["With", "files", "7,000", "1", "1", "12,000", "1", "1", "0.0", "50.0", "25.0"],
        ["Without", "files", "7,000", "1", "1", "0", "1", "1", "0.0", "50.0", "–"],
    ]
    assert "which is no leakage" in table.caption
    alone = datasets_table(manifests, {"without": "Without"}, *described)
    assert "unlabelled" not in to_csv(alone).lower() + to_markdown(alone).lower()


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
        {"d2t": "Data_to_text", "mt": "EN & RO"},
        {"teacher": "Teacher", "mle": "MLE", "kl": "KL"},
        count=2,
        seed=seed,
    )


def test_examples_table(generations):
    table = examples(generations, 1)
    assert [section for section, _ in table.cells.index] == [0] * 4 + [1] * 4
    rows = table.cells.loc[0].to_numpy().tolist()
    chosen = rows[1][2].removeprefix("first ")
    assert [(row[0], row[1]) for row in rows] == [
        *(("Data_to_text", "Input"), ("", "Reference"), ("", "Teacher"), ("", "KL"))
    ]
    assert [row[2] for row in rows[1:]] == [f"first {chosen}", f"teacher {chosen}", f"kl {chosen}"]
    assert len(rows[0][2]) == 400 and rows[0][2].endswith("…")
    assert r"\| x<br>second line" in to_markdown(table)
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [r["role"] for r in records[:4]] == ["source", "reference", "teacher", "kl"]
    assert records[0]["text"].endswith("word ") and "\n" in records[0]["text"]  # whole
    assert to_markdown(examples(generations, 1)) == to_markdown(table)
    picks = {tuple(examples(generations, seed).records["id"]) for seed in range(5)}
    assert len(picks) > 1
