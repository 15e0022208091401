"""Stored samples: read as they were written, refused when teacher, tokenizer or split differ."""

import pytest
from fdistill.data.samples import read_samples, write_samples
from fdistill.runtime.errors import UserError

IDENTITY = {"teacher": "t" * 64, "tokenizer": "k" * 64, "split": "s" * 64}
COLUMNS = {
    "id": ["a", "a", "b", "b"],
    "sample": [0, 1, 0, 1],
    "tokens": [[5, 2], [6, 2], [7, 2], [8, 9]],
    "log_prob": [-1.0, -2.0, -3.0, -4.0],
    "finished": [True, True, True, False],
}


@pytest.fixture
def path(tmp_path):
    write_samples(tmp_path / "x.parquet", COLUMNS, {**IDENTITY, "mode": "ancestral"})
    return tmp_path / "x.parquet"


def test_round_trip_in_the_given_order(path):
    assert read_samples(path, ["b", "a"], IDENTITY) == [[[7, 2], [8, 9]], [[5, 2], [6, 2]]]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("teacher", "sampled from another teacher"),
        ("tokenizer", "another tokenizer"),
        ("split", "another version of the split"),
    ],
)
def test_samples_of_something_else_are_refused_with_the_remedy(path, key, words):
    with pytest.raises(UserError, match=rf"x\.parquet: .*{words}.*; no record beside it .*; give a file that"):
        read_samples(path, ["a"], IDENTITY | {key: "other" * 10})


def test_an_input_without_samples_is_named(path):
    with pytest.raises(UserError, match="no sample for 1 of 2 inputs \\(first: 'c'\\)"):
        read_samples(path, ["a", "c"], IDENTITY)


def test_an_empty_sample_is_named_by_its_row(tmp_path):
    write_samples(tmp_path / "x.parquet", COLUMNS | {"tokens": [[5], [], [7], [8]]}, IDENTITY)
    with pytest.raises(UserError, match=r"row 1 \(id 'a'\) has no tokens; no record beside it .*; give a file that"):
        read_samples(tmp_path / "x.parquet", ["a"], IDENTITY)
