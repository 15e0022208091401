"""Published data sets in the hub's formats, read by its own loader from local folders; the order of places."""

import logging
from dataclasses import replace

import datasets
import pyarrow as pa
import pytest
from fdistill.data.sources import SOURCES, source_module
from fdistill.data.sources.files.rows import Row
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub
from fdistill.data.sources.published.web import WebFiles
from fdistill.runtime.errors import UserError
from published_files import PAIR, load, only_from, pairs, publish

ROWS = {
    "dart": {"tripleset": [["a", "B", "c"]], "annotations": {"source": ["x"], "text": ["It joined."]}},
    "xsum": PAIR,
    "wmt16": {"translation": {"en": "one", "ro": "unu"}},
    "commonsense_dialogues": {"context": "c", "turns": ["t"], "speaker": "s"},
    "cnn_dailymail": {"article": "(CNN) Long.\nStory.", "highlights": "First point .\nSecond point .", "id": "1f"},
    "squad_questions": {"title": "A", "context": "c", "question": "q", "answers": {"text": ["a"], "answer_start": [0]}},
    "art": {"observation_1": "a", "observation_2": "b", "target": "c", "references": ["c"], "gem_id": "g"},
    "shakespeare": {"original": "o", "modern": "m", "play": "p"},
}


def hubs(kind):
    return [place for place in source_module(kind).DATASET.places if isinstance(place, Hub)]


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A function that makes rows the only place of a kind's data set, on the hub."""

    def put(kind, rows, *splits):
        return only_from(monkeypatch, kind, publish(monkeypatch, tmp_path, hubs(kind)[0], rows, *splits))

    return put


def test_every_published_data_set_is_covered():
    assert set(ROWS) == {kind for kind in SOURCES if hasattr(source_module(kind), "DATASET")}


WITH_TEST_SPLIT = [kind for kind in ROWS if [hub for hub in hubs(kind) if hub.test == "test"]]


@pytest.mark.parametrize("kind", WITH_TEST_SPLIT)
def test_every_data_set_is_read_from_the_hub_as_from_files(published, tmp_path, kind):
    from_hub = published(kind, [ROWS[kind]] * 2).load({}, {})
    from_files = load(tmp_path, kind, ".parquet", [ROWS[kind]] * 2)
    assert from_hub.splits == from_files.splits
    origin = {"version": hubs(kind)[0].revision, "licence": source_module(kind).DATASET.licence}
    assert [{key: recorded[key] for key in origin} for recorded in from_hub.origins] == [origin]


def test_highlights_stay_apart_as_lines(published):
    corpus = published("cnn_dailymail", [ROWS["cnn_dailymail"]]).load({}, {})
    assert pairs(corpus, "test") == [("(CNN) Long. Story.", "First point .\nSecond point .")]


def test_the_development_split_may_be_called_valid(published):
    corpus = published("xsum", [PAIR], ("train", "valid", "test")).load({}, {})
    assert [example.id for example in corpus.splits["dev"]] == ["dev/0"]


def test_gems_rows_are_entries_again(monkeypatch, tmp_path):
    """As its loader writes them: a row per sentence in train, a row per entry elsewhere."""
    mars, moon = [["Mars", "JOINED", "1973"]], [["Moon", "Is", "far"]]

    def gem(number, triples, target, references=()):
        return {"dart_id": number, "tripleset": triples, "target": target, "references": references}

    rows = {
        "train": [gem(0, mars, "one"), gem(0, mars, "two"), gem(1, mars, "three"), gem(2, moon, "four")],
        "validation": [gem(0, mars, "one", ["one", "two"])],
        "test": [gem(0, mars, "one", ["one", "two"]), gem(1, moon, "x", ["x"]), gem(2, mars, "two", ["two", "three"])],
    }
    types = pa.schema({"dart_id": pa.int32(), "target": pa.string(), "references": pa.list_(pa.string())})
    types = types.append(pa.field("tripleset", pa.list_(pa.list_(pa.string()))))
    tables = {split: pa.Table.from_pylist(rows[split], schema=types) for split in rows}
    place = next(hub for hub in hubs("dart") if hub.id.startswith("GEM"))
    corpus = only_from(monkeypatch, "dart", publish(monkeypatch, tmp_path, place, tables)).load({}, {})
    assert pairs(corpus, "train") == [
        ("Mars : joined : 1973", "one", "two"),
        ("Mars : joined : 1973", "three"),
        ("Moon : is : far", "four"),
    ]
    assert pairs(corpus, "dev") == [("Mars : joined : 1973", "one", "two")]
    assert pairs(corpus, "test") == [("Mars : joined : 1973", "one", "two", "three"), ("Moon : is : far", "x")]


def test_a_renamed_column_is_named(published):
    with pytest.raises(UserError, match=r"xsum, revision main: train split, row 1: no 'document' \(found: article, su"):
        published("xsum", [{"article": "a", "summary": "b"}]).load({}, {})


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation", "test", "unseen")])
def test_other_splits_are_refused(published, splits):
    with pytest.raises(UserError, match=f"its splits are {', '.join(splits)}, not train, validation and test"):
        published("xsum", [PAIR], splits).load({}, {})


@pytest.mark.parametrize("kind", ROWS)
def test_without_a_network_one_error_lists_everything_tried(monkeypatch, kind):
    tried = []

    def unreachable(id, config, revision):
        tried.append((id, config, revision))
        raise ConnectionError(f"Couldn't reach '{id}' on the Hub")

    def nothing(url):
        raise UserError(f"{url}: cannot be downloaded")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    monkeypatch.setattr("fdistill.data.sources.published.web.download", nothing)
    module = source_module(kind)
    with pytest.raises(UserError) as error:
        module.load({}, {})
    first = [(hub.id, hub.config, hub.revision) for hub in hubs(kind)[:1]]
    assert tried == first  # a hub that is down is asked once
    places = [place.urls[0] for place in module.DATASET.places if isinstance(place, WebFiles)]
    places += map(str, module.DATASET.places)
    local = ["source.path: {train: FILE, dev: FILE, test: FILE}", module.DATASET.local_files]
    down = ["the hub cannot be reached"] if first else []
    for part in (module.DATASET.name, *down, *places, *local):
        assert part in str(error.value)


def rows_of(*texts):
    return {
        split: [Row("row", {"document": text, "summary": "s"}) for text in texts] for split in ("train", "dev", "test")
    }


class Place:
    """A place that has rows, or raises an error."""

    def __init__(self, name, rows, note=None):
        self.name, self.rows = name, rows
        self.origins = [{"package": name, "version": "1"} | ({"note": note} if note else {})]

    def __str__(self):
        return self.name

    def read(self):
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows, self.origins


def test_the_first_place_that_has_the_data_set_whole_is_taken(monkeypatch, caplog):
    damaged = rows_of("a") | {"test": [Row("last.parquet, row 7", {"text": "a"})]}
    places = (
        Place("closed", UserError("404")),
        Place("damaged", damaged),
        Place("whole", rows_of("b", "c"), "rewritten"),
    )
    with caplog.at_level(logging.INFO):
        corpus = only_from(monkeypatch, "xsum", *places, Place("never", rows_of("d"))).load({}, {})
    assert pairs(corpus, "train") == [("b", "s"), ("c", "s")]
    assert corpus.origins == [{"package": "whole", "version": "1", "licence": "unknown", "note": "rewritten"}]
    for message in (
        "closed: 404",
        "damaged: last.parquet, row 7: no 'document'",
        "XSum read from whole",
        "XSum: rewritten",
    ):
        assert message in caplog.text


def test_a_wrong_count_stops_and_tries_no_other_place(monkeypatch):
    module = only_from(monkeypatch, "xsum", Place("first", rows_of("a")), Place("second", rows_of("a", "b")))
    with pytest.raises(UserError, match="train has 1 examples, not 2"):
        module.load({}, {"expected_counts": {"train": 2, "dev": 2, "test": 2}})


def test_a_repository_with_a_loading_script_only_is_passed_over(monkeypatch):
    def only_converted(id, config, revision):
        if revision == "main":
            raise RuntimeError("Dataset scripts are no longer supported, but found xsum.py")
        return {split: [PAIR] for split in ("train", "validation", "test")}

    monkeypatch.setattr(datasets, "load_dataset", only_converted)
    corpus = source_module("xsum").load({}, {})
    assert corpus.origins[0]["version"] == PARQUET_BRANCH and len(corpus.splits["dev"]) == 1
    module = only_from(monkeypatch, "xsum", replace(hubs("xsum")[0], revision="main"))
    with pytest.raises(UserError, match="revision main: Dataset scripts are no longer supported"):
        module.load({}, {})
