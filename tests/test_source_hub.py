"""The paper's four data sets as the hub has them, on local stand-ins that its own loader reads."""

import json
from dataclasses import replace

import datasets
import pytest
from fdistill.data.sources import source_module
from fdistill.errors import UserError
from published_files import PAIR, load, write

ROWS = {
    "dart": {"tripleset": [["a", "B", "c"]], "annotations": {"source": ["x"], "text": ["It joined."]}},
    "xsum": PAIR,
    "wmt16": {"translation": {"en": "one", "ro": "unu"}},
    "commonsense_dialogues": {"context": "c", "turns": ["t"], "speaker": "s"},
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A function that puts rows where a kind's module looks for its data set, as the hub would have them."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def publish(kind, rows, splits=("train", "validation", "test")):
        module, repository = source_module(kind), tmp_path / "repository"
        config = module.HUB.config or "default"
        for split in splits:
            (repository / config / split).mkdir(parents=True)
            write(repository / config / split / "0000.parquet", rows)
        files = [{"split": split, "path": f"{config}/{split}/*"} for split in splits]
        card = {"configs": [{"config_name": config, "data_files": files}]}
        (repository / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
        monkeypatch.setattr(module, "HUB", replace(module.HUB, id=str(repository)))
        return module

    return publish


@pytest.mark.parametrize("kind", ROWS)
def test_every_data_set_is_read_from_the_hub_as_from_files(hub, tmp_path, kind):
    from_hub = hub(kind, [ROWS[kind]] * 2).load({}, {})
    from_files = load(tmp_path, kind, ".parquet", [ROWS[kind]] * 2)
    assert from_hub.splits == from_files.splits
    assert [origin["version"] for origin in from_hub.origins] == [source_module(kind).HUB.revisions[0]]


def test_the_development_split_may_be_called_valid(hub):
    corpus = hub("xsum", [PAIR], ("train", "valid", "test")).load({}, {})
    assert [example.id for example in corpus.splits["dev"]] == ["dev/0"]


def test_a_renamed_column_is_named(hub):
    with pytest.raises(UserError, match=r"repository \(hub, revision main\), train, row 1: no 'document'"):
        hub("xsum", [{"article": "a", "summary": "b"}]).load({}, {})


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation", "test", "unseen")])
def test_other_splits_are_refused(hub, splits):
    with pytest.raises(UserError, match=f"its splits are {', '.join(splits)}, not train, validation and test"):
        hub("xsum", [PAIR], splits).load({}, {})


@pytest.mark.parametrize("kind", ROWS)
def test_a_hub_out_of_reach_is_one_clear_error(monkeypatch, kind):
    tried = []

    def unreachable(id, config, revision):
        tried.append((id, config, revision))
        raise ConnectionError(f"Couldn't reach '{id}' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    module = source_module(kind)
    with pytest.raises(UserError) as error:
        module.load({}, {})
    assert tried == [(module.HUB.id, module.HUB.config, module.HUB.revisions[0])]  # asked once
    for part in (module.HUB.id, module.HUB.revisions[0], "source.path: {train: FILE, dev: FILE, test: FILE}"):
        assert part in str(error.value)


def test_the_next_revision_is_tried_when_one_has_only_a_script(monkeypatch):
    split = [PAIR]

    def only_converted(id, config, revision):
        if revision == "main":
            raise RuntimeError("Dataset scripts are no longer supported, but found xsum.py")
        return {"train": split, "validation": split, "test": split}

    monkeypatch.setattr(datasets, "load_dataset", only_converted)
    corpus = source_module("xsum").load({}, {})
    assert corpus.origins[0]["version"] == "refs/convert/parquet" and len(corpus.splits["dev"]) == 1
    monkeypatch.setattr(source_module("xsum"), "HUB", replace(source_module("xsum").HUB, revisions=("main",)))
    with pytest.raises(UserError, match="revision main: Dataset scripts are no longer supported"):
        source_module("xsum").load({}, {})
