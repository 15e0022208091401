"""Shakespeare's plays on small files: tables of sentences, either direction, lengths."""

import pytest
from fdistill.data.preparation import checked_corpus
from fdistill.data.sources import SPLITS, source_module
from fdistill.data.sources.published import shakespeare
from fdistill.runtime.errors import UserError
from published_files import load, pairs, write

KIND = "shakespeare"
ROW = {"original": "Tis  “bitter”\tcold.", "modern": "It's very cold.", "play": "hamlet"}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_the_original_is_translated_into_modern_english(tmp_path, suffix):
    corpus = load(tmp_path, KIND, suffix, [ROW])
    assert pairs(corpus, "test") == [("Tis “bitter” cold.", "It's very cold.")]
    assert corpus.splits["test"][0].group == "hamlet"


def test_the_other_direction_is_an_option(tmp_path):
    corpus = load(tmp_path, KIND, ".jsonl", [ROW], target="original")
    assert pairs(corpus, "test") == [("It's very cold.", "Tis “bitter” cold.")]
    lines = [{"source": "a", "target": "b"}]
    assert pairs(load(tmp_path, KIND, ".source", lines, target="original"), "test") == [("a", "b")]


def test_sentences_without_a_play_are_groups_of_their_own(tmp_path):
    rows = [{"original": "a", "modern": "b"}] * 2
    assert [example.group for example in load(tmp_path, KIND, ".jsonl", rows).splits["dev"]] == ["dev/0", "dev/1"]


def sentence(words):
    return " ".join(["word"] * words)


def test_both_sides_have_the_wanted_number_of_words(tmp_path):
    sizes = [(8, 50), (7, 20), (20, 7), (51, 20), (20, 51), (50, 8)]
    rows = [{"original": sentence(a), "modern": sentence(b)} for a, b in sizes]
    corpus = load(tmp_path, KIND, ".jsonl", rows, words=[8, 50])
    assert [example.id for example in corpus.splits["train"]] == ["train/0", "train/5"]
    assert {"step": "test: 8 to 50 words on both sides", "before": 6, "after": 2} in corpus.counts
    assert len(load(tmp_path, KIND, ".jsonl", rows).splits["train"]) == 6


def test_unlabelled_inputs_have_the_wanted_number_of_words_too(tmp_path):
    def corpus(*sizes):
        for split in SPLITS:
            write(tmp_path / f"{split}.jsonl", [{"original": sentence(9), "modern": sentence(9)}])
        write(tmp_path / "more.jsonl", [{"source": sentence(size)} for size in sizes])
        path = {split: str(tmp_path / f"{split}.jsonl") for split in SPLITS}
        options = {"path": path | {"unlabelled": str(tmp_path / "more.jsonl")}, "words": [8, 50]}
        return checked_corpus(KIND, {}, options)

    made = corpus(7, 8, 50, 51)
    assert [example.id for example in made.unlabelled] == ["unlabelled/1", "unlabelled/2"]
    assert {"step": "unlabelled: 8 to 50 words", "before": 4, "after": 2} in made.counts
    with pytest.raises(UserError, match=r"source\.path\.unlabelled: no input is left after filtering"):
        corpus(7, 51)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "modren"}, "source.target: unknown value 'modren'; known: original, modern"),
        ({"words": [50, 8]}, r"source\.words: \[50, 8\] is not \[fewest, most\]"),
        ({"words": [-1, 8]}, r"source\.words: \[-1, 8\] is not \[fewest, most\], .* in this order, from 0 on"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        source_module(KIND).load({}, options)


def test_no_play_is_in_two_splits():
    plays = [*shakespeare.PLAYS, shakespeare.DEV, shakespeare.TEST]
    assert len(plays) == len(set(plays)) == 17
    (place,) = shakespeare.DATASET.places
    assert len(set(place.urls)) == 34 and str(place).endswith("(34 files)")
