"""ART on small files in the authors' and the hub's formats."""

import json

import pytest
from fdistill.runtime.errors import UserError
from published_files import load, pairs

KIND = "art"


def hub_row(first, second, target):
    return {"gem_id": "g", "observation_1": first, "observation_2": second, "target": target, "references": [target]}


def authors_row(first, second, hyp1, hyp2, label):
    row = {"story_id": "58090d3f-1", "obs1": first, "obs2": second, "hyp1": hyp1, "hyp2": hyp2, "label": label}
    return row | {"comet_preds": {"obs1": {"oEffect": {"beams": ["none"]}}}}


PARTY, BROKEN = "Stephen was  at a\tparty.", 'He checked it; it was "broken".'
SOURCE = 'Stephen was at a party.; outcome: He checked it; it was "broken".'
ROWS = [hub_row(PARTY, BROKEN, "He fell."), hub_row("a", "b", "c"), hub_row(PARTY, BROKEN, "He was pushed.")]
AUTHORS_ROWS = [
    authors_row(PARTY, BROKEN, "He fell.", "He sang.", "1"),
    authors_row("a", "b", "d", "c", "2"),
    authors_row(PARTY, BROKEN, "He slept.", "He was pushed.", 2),
]


@pytest.mark.parametrize("rows", [ROWS, AUTHORS_ROWS], ids=["hub", "authors"])
def test_explanations_of_the_same_observations_are_references_of_one_held_out_example(tmp_path, rows):
    corpus = load(tmp_path, KIND, ".jsonl", rows)
    assert pairs(corpus, "train") == [(SOURCE, "He fell."), ("a; outcome: b", "c"), (SOURCE, "He was pushed.")]
    merged = [(SOURCE, "He fell.", "He was pushed."), ("a; outcome: b", "c")]
    assert pairs(corpus, "dev") == pairs(corpus, "test") == merged
    assert {"step": "test: rows with the same observations merged", "before": 3, "after": 2} in corpus.counts
    groups = [example.group for example in corpus.splits["train"]]
    assert groups[0] == groups[2] != groups[1]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_read_as_json_lines(tmp_path, suffix):
    rows = [{key: row[key] for key in ("obs1", "obs2", "hyp1", "hyp2", "label")} for row in AUTHORS_ROWS]
    rows = [row | {"label": str(row["label"])} for row in rows]
    assert load(tmp_path, KIND, suffix, rows).splits == load(tmp_path, KIND, ".jsonl", AUTHORS_ROWS).splits


def test_windows_line_ends_are_read(tmp_path):
    text = "\ufeff" + "\r\n".join(map(json.dumps, AUTHORS_ROWS)) + "\r\n\r\n"
    assert load(tmp_path, KIND, ".jsonl", text).splits == load(tmp_path, KIND, ".jsonl", AUTHORS_ROWS).splits


def test_rows_without_a_text_are_left_out(tmp_path):
    blank = [
        authors_row(PARTY, BROKEN, " ", "He sang.", "1"),
        authors_row("", BROKEN, "x", "y", "1"),
        authors_row(PARTY, " ", "x", "y", "2"),
    ]
    corpus = load(tmp_path, KIND, ".jsonl", [*blank, *AUTHORS_ROWS])
    assert [len(corpus.splits[split]) for split in ("train", "dev", "test")] == [3, 2, 2]
    assert pairs(corpus, "test")[0] == (SOURCE, "He fell.", "He was pushed.")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (authors_row("a", "b", "c", "d", 0), "line 2: 'label' is not 1 or 2, the number of the plausible hypothesis"),
        (authors_row("a", "b", None, "d", 1), "line 2: 'hyp1' is not text"),
        ({"obs1": "a", "obs2": "b", "hyp1": "c"}, r"line 2: no 'label' \(found: obs1, obs2, hyp1\)"),
        (hub_row("a", "b", None), "line 2: 'target' is not text"),
        ({"observation_1": "a", "label": "b"}, "line 2: no 'observation_2'"),
        (["a"], r"line 2: no 'observation_1' \(found: no columns\)"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, bad, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, KIND, ".jsonl", [AUTHORS_ROWS[0], bad])
