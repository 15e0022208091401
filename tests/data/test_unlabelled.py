"""Unlabelled inputs: where they come from, that held-out labels are nowhere, and what is refused."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fdistill.artifacts.files import read_parquet
from fdistill.data import sources
from fdistill.data.leakage import leakage
from fdistill.data.preparation import FILES, checked_corpus, prepare
from fdistill.data.schemas import SPLIT
from fdistill.data.sources import SPLITS, Corpus, Example, source_module
from fdistill.data.sources.files.local_files import input_files
from fdistill.data.unlabelled import hold_out_labels
from fdistill.runtime.errors import UserError


def write(folder: Path, **files: str) -> dict[str, str]:
    """The paths of files of CSV rows, by split: by default two pairs each."""
    texts = {split: f"source,target\n{split} a,one\n{split} b,two\n" for split in SPLITS} | files
    for split, text in texts.items():
        (folder / f"{split}.csv").write_text(text)
    return {split: str(folder / f"{split}.csv") for split in texts}


def prepared(folder: Path, **options) -> tuple[dict[str, dict], dict]:
    """The rows of every file that `prepare` writes of own files, and the manifest."""
    outputs = {name: folder / f"{name}.parquet" for name in FILES}
    prepare("files", options, folder / "cache", outputs, folder / "manifest.json", "mine")
    rows = {name: read_parquet(file, SPLIT)[0] for name, file in outputs.items()}
    return rows, json.loads((folder / "manifest.json").read_text())


def examples(sizes: list[int]) -> list[Example]:
    """Examples of groups of these sizes."""
    return [
        Example(f"{group}/{i}", f"group {group}", f"input {group} {i}", (f"secret {group} {i}",))
        for group, size in enumerate(sizes)
        for i in range(size)
    ]


# --- files of inputs


def test_a_file_of_inputs_is_a_split_without_references(tmp_path):
    path = write(tmp_path, unlabelled="source,target\nnew,not read\ntrain A!,\ntest b,\n")
    rows, manifest = prepared(tmp_path, path=path)
    assert rows["unlabelled"] == {
        "id": ["unlabelled/line 2", "unlabelled/line 3", "unlabelled/line 4"],
        "group": ["unlabelled/line 2", "unlabelled/line 3", "unlabelled/line 4"],
        "source": ["new", "train A!", "test b"],
        "references": [[], [], []],
    }
    assert manifest["splits"] == {"train": 2, "dev": 2, "test": 2, "unlabelled": 3}
    assert manifest["leakage"]["test"]["sources"] == 0.5 and manifest["leakage"]["dev"]["sources"] == 0
    assert manifest["leakage"]["unlabelled"] == {"sources": 1 / 3}
    assert "not read" not in "".join(map(str, rows.values()))
    assert [origin["package"] for origin in manifest["archives"]][-1] == "unlabelled.csv"


def test_a_task_without_them_has_an_empty_file_and_other_inputs_leave_the_splits_as_they_are(tmp_path):
    rows, manifest = prepared(tmp_path, path=write(tmp_path), unlabelled_share=None)
    assert rows["unlabelled"] == {name: [] for name in SPLIT.names}
    assert manifest["splits"]["unlabelled"] == 0 and "unlabelled" not in manifest["leakage"]
    identity = manifest["lineage"]["data"]
    (tmp_path / "other").mkdir()
    path = write(tmp_path / "other", unlabelled="source\nnew\n")
    assert prepared(tmp_path / "other", path=path)[1]["lineage"]["data"] == identity
    for split in SPLITS:
        assert (tmp_path / f"other/{split}.parquet").read_bytes() == (tmp_path / f"{split}.parquet").read_bytes()
    assert prepared(tmp_path, path=write(tmp_path, dev="source,target\nc,d\n"))[1]["lineage"]["data"] != identity
    shared = prepared(tmp_path, path=write(tmp_path), unlabelled_share=0.5)[1]
    assert shared["lineage"]["data"] != identity


def test_formats_ids_and_groups(tmp_path):
    path = write(tmp_path, train="id,topic,source,target\n7,t,a,b\n", dev="id,topic,source,target\n8,d,a,b\n",
                 test="id,topic,source,target\n9,e,a,b\n")  # fmt: skip
    (tmp_path / "more.source").write_text("first\nsecond\n")
    path["unlabelled"] = str(tmp_path / "more.source")
    assert input_files({"path": path}) == list(path.values())  # no more.target
    options = {"path": path, "id_column": "id", "group_column": "topic"}
    made = source_module("files").load({}, options).unlabelled
    assert [(example.id, example.source) for example in made] == [
        ("unlabelled/line 1", "first"),
        ("unlabelled/line 2", "second"),
    ]
    (tmp_path / "more.jsonl").write_text(
        '{"id": 1, "topic": "t", "source": "x"}\n{"id": 2, "topic": 3, "source": "y"}\n'
    )
    path["unlabelled"] = str(tmp_path / "more.jsonl")
    made = source_module("files").load({}, options).unlabelled
    assert [(example.id, example.group) for example in made] == [("1", "t"), ("2", "3")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more.csv", "id,topic,source\n,t,x\n ,u,y\n"),
        ("more.csv", "topic,source\nt,x\nu,y\n"),
        ("more.jsonl", '{"id": null, "topic": "t", "source": "x"}\n{"topic": "u", "source": "y"}\n'),
    ],
)
def test_a_file_without_ids_is_given_some(tmp_path, name, text):
    path = write(tmp_path, **{split: f"id,topic,source,target\n{split},{split},a,b\n" for split in SPLITS})
    (tmp_path / name).write_text(text)
    options = {"path": path | {"unlabelled": str(tmp_path / name)}, "id_column": "id", "group_column": "topic"}
    made = source_module("files").load({}, options).unlabelled
    assert [example.group for example in made] == ["t", "u"]
    assert all(example.id.startswith("unlabelled/line ") for example in made) and made[0].id != made[1].id


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"id": 1, "source": "x"}\n{"source": "y"}\n', r"line 2: no 'id' \(found: source\)"),
        ('{"id": "", "source": "x"}\n{"id": 2, "source": "y"}\n', "line 1: 'id' is not a name or a number"),
    ],
)
def test_ids_that_only_some_inputs_have_are_a_mistake(tmp_path, text, words):
    path = write(tmp_path, **{split: f"id,source,target\n{split},a,b\n" for split in SPLITS})
    (tmp_path / "more.jsonl").write_text(text)
    path["unlabelled"] = str(tmp_path / "more.jsonl")
    with pytest.raises(UserError, match=words):
        source_module("files").load({}, {"path": path, "id_column": "id"})


def test_a_published_data_set_takes_inputs_in_the_form_of_the_models(tmp_path):
    row = {"document": "An article.", "summary": "Short.", "id": "1"}
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
    (tmp_path / "more.csv").write_text("source\nAnother article.\n")
    path = {split: str(tmp_path / f"{split}.jsonl") for split in SPLITS} | {"unlabelled": str(tmp_path / "more.csv")}
    corpus = checked_corpus("xsum", {}, {"path": path, "expected_counts": None})
    assert corpus.unlabelled == [Example("unlabelled/0", "unlabelled/0", "Another article.", ())]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source\n  \n", "unlabelled.csv, line 2: 'source' is empty"),
        ("text\nx\n", "no column 'source' (source.source_column)"),
        ("source\n", "unlabelled.csv has no rows behind its header"),
        ("id,source\n7,x\n", "id '7' was given already"),
    ],
)
def test_bad_files_of_inputs_are_refused(tmp_path, text, words):
    path = write(tmp_path, train="id,source,target\n7,a,b\n", dev="id,source,target\n8,a,b\n",
                 test="id,source,target\n9,a,b\n", unlabelled=text)  # fmt: skip
    with pytest.raises(UserError) as error:
        prepared(tmp_path, path=path, id_column="id")
    assert words in str(error.value)
    assert not list(tmp_path.glob("*.parquet"))


def test_bad_rows_can_be_dropped_and_are_counted(tmp_path):
    path = write(tmp_path, unlabelled="source,target\nx,\n ,\n")
    rows, manifest = prepared(tmp_path, path=path, on_bad_rows="drop")
    assert rows["unlabelled"]["source"] == ["x"] and manifest["dropped"]["unlabelled"] == 1


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (Example("dev", "g", "x", ()), "unlabelled: id 'dev' occurs in dev too; ids must be unique"),
        (Example("new", "g", " ", ()), "unlabelled: example 'new' has an empty source"),
    ],
)
def test_unlabelled_inputs_of_any_source_are_checked(monkeypatch, example, words):
    corpus = Corpus({name: [Example(name, name, "x", ("y",))] for name in SPLITS}, "", unlabelled=[example])
    monkeypatch.setattr(sources, "load", lambda *_: corpus)
    with pytest.raises(UserError, match=words):
        checked_corpus("any", {}, {})


# --- a share of the training split


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_whole_groups_lose_their_labels_and_the_share_is_met(share):
    train = examples([1, 2, 3, 4, 5] * 20)
    corpus = Corpus({"train": list(train), "dev": [], "test": []}, "by group")
    hold_out_labels(corpus, share)
    labelled, unlabelled = corpus.splits["train"], corpus.unlabelled
    assert abs(len(unlabelled) - share * len(train)) <= 5 / 2  # half the largest group
    assert not {e.group for e in labelled} & {e.group for e in unlabelled}
    assert Counter(e.id for e in labelled + unlabelled) == Counter(e.id for e in train)
    places = {example.id: place for place, example in enumerate(train)}
    for part in (labelled, unlabelled):
        assert [places[e.id] for e in part] == sorted(places[e.id] for e in part)
    again = Corpus({"train": list(train)}, "by group")
    hold_out_labels(again, share)
    assert again.unlabelled == unlabelled
    assert corpus.counts == [
        {"step": "train: inputs that keep their labels", "before": len(train), "after": len(labelled)}
    ]


def test_held_out_labels_are_in_no_file(tmp_path):
    texts = "source,target\n" + "".join(f"input {i},secret{i}x\n" for i in range(40))
    rows, manifest = prepared(tmp_path, path=write(tmp_path, train=texts), unlabelled_share=0.4)
    assert manifest["splits"] == {"train": 24, "dev": 2, "test": 2, "unlabelled": 16}
    assert manifest["source"]["unlabelled_share"] == 0.4
    numbers = [source.split()[1] for source in rows["unlabelled"]["source"]]
    written = "".join(str(pq.read_table(file).to_pydict()) for file in tmp_path.glob("*.parquet"))
    written += "".join(str(pq.read_metadata(file).metadata) for file in tmp_path.glob("*.parquet"))
    written += (tmp_path / "manifest.json").read_text()
    assert not any(f"secret{number}x" in written for number in numbers)
    raw = b"".join(file.read_bytes() for file in [*tmp_path.glob("*.parquet"), tmp_path / "manifest.json"])
    assert not any(f"secret{number}x".encode() in raw for number in numbers)
    assert sum(f"secret{i}x" in written for i in range(40)) == 24


@pytest.mark.parametrize(
    ("sizes", "share", "words"),
    [
        ([5], 0.9, "leaves no input with a label"),
        ([5], 0.1, "leaves every input its label"),
        ([1, 1], 0.99, "leaves no input with a label"),
        ([1, 1], 2, "2 is no share; set a number between 0 and 1"),
        ([1, 1], "half", "'half' is no share"),
        ([1, 1], True, "True is no share"),
    ],
)
def test_shares_that_leave_nothing_are_refused(sizes, share, words):
    with pytest.raises(UserError, match=f"source.unlabelled_share: .*{words}"):
        hold_out_labels(Corpus({"train": examples(sizes)}, ""), share)


def test_a_share_and_a_file_are_refused(tmp_path):
    path = write(tmp_path, unlabelled="source\nx\n")
    with pytest.raises(UserError, match=r"source.unlabelled_share: source.path has unlabelled inputs already"):
        prepared(tmp_path, path=path, unlabelled_share=0.5)


# --- leakage


def test_leakage_counts_unlabelled_inputs_as_training_inputs():
    def of(*texts, group="g"):
        return [Example(text, f"{group} {text}", text, (f"target of {text}",)) for text in texts]

    splits = {"train": of("a", "b"), "dev": of("a", "c", "d", "e"), "test": of("x", "d")}
    unlabelled = [Example(f"u{i}", f"g {text}", text, ()) for i, text in enumerate(["c", "d", "b", "z"])]
    alone, found = leakage(splits), leakage(splits, unlabelled)
    for name, share in (("dev", 3 / 4), ("test", 1 / 2)):
        assert found[name]["sources"] == found[name]["groups"] == share
        assert {key: found[name][key] for key in ("targets", "ngrams")} == {
            key: alone[name][key] for key in ("targets", "ngrams")
        }
    assert found["unlabelled"] == {"sources": 1 / 4}
    assert set(alone) == {"dev", "test"} and alone["dev"]["sources"] == 1 / 4
