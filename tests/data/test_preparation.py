"""Prepared data: what is written, and what is refused before anything is written."""

import json

import pytest
from fdistill.artifacts.files import read_parquet, sha256
from fdistill.data import preparation, sources
from fdistill.data.preparation import FILES, prepare
from fdistill.data.schemas import SPLIT
from fdistill.data.sources import SPLITS, Corpus, Example
from fdistill.evaluation.trivial import SYSTEMS
from fdistill.runtime.errors import UserError


def example(id, source="a source", references=("a target",)):
    return Example(id, f"group {id}", source, references)


def run(monkeypatch, tmp_path, **changes):
    splits = {name: [example(f"{name}/{i}") for i in range(3)] for name in SPLITS} | changes

    class Module:
        ARCHIVES = ()

    corpus = Corpus(splits, "by group")
    corpus.count("nothing", 9, 9)
    monkeypatch.setattr(sources, "source_module", lambda kind: Module)
    monkeypatch.setattr(sources, "load", lambda kind, archives, options: corpus)
    outputs = {name: tmp_path / f"{name}.parquet" for name in FILES}
    prepare("any", {"size": 1}, tmp_path / "cache", outputs, tmp_path / "manifest.json")
    return outputs


def test_splits_and_manifest(monkeypatch, tmp_path):
    outputs = run(monkeypatch, tmp_path, test=[example("x", references=("one", "two"))])
    rows, _ = read_parquet(outputs["test"], SPLIT)
    assert rows == {"id": ["x"], "group": ["group x"], "source": ["a source"], "references": [["one", "two"]]}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["splits"] == {"train": 3, "dev": 3, "test": 1, "unlabelled": 0}
    assert manifest["references"] == {"train": 3, "dev": 3, "test": 2}
    assert manifest["counts"] == [{"step": "nothing", "before": 9, "after": 9}]
    assert manifest["sha256"]["test"] == sha256(outputs["test"])
    assert manifest["leakage"]["test"]["sources"] == 1.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dev": []}, "dev: the split is empty after filtering"),
        ({"test": [example("x", source=" ")]}, "test: example 'x' has an empty source"),
        ({"train": [example("x", references=())]}, "train: example 'x' has no reference"),
        (
            {"train": [example("x", references=("",))]},
            "train: example 'x' has an empty source or reference; fill",
        ),
        ({"train": [example("x"), example("x")]}, "train: id 'x' occurs twice; ids must be unique within the task"),
        ({"test": [example("dev/1")]}, "test: id 'dev/1' occurs in dev too; ids must be unique within the task"),
    ],
)
def test_refused_before_anything_is_written(monkeypatch, tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        run(monkeypatch, tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_an_unknown_source_names_the_known_ones():
    with pytest.raises(UserError, match=r"unknown source .wiki.; known: .*botocore"):
        preparation.prepare("wiki", {}, None, {}, None)


def test_trivial_systems():
    train = {"references": [["b"], ["a"], ["b"], ["a"], ["c"]]}
    test = {"id": [1, 2], "source": ["One is here. Two is there.", "See e.g. this one"]}
    assert SYSTEMS["most_frequent"](train, test) == ["a", "a"]
    assert SYSTEMS["source"](train, test) == test["source"]
    assert SYSTEMS["source"](train, {"source": ["Hi!<|endoftext|>You?<|endoftext|>"]}) == ["Hi! You?"]
    assert SYSTEMS["first_sentence"](train, test) == ["One is here.", "See e.g. this one"]
