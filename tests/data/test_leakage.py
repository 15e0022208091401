import pytest
from fdistill.data.leakage import leakage
from fdistill.data.sources import Example
from fdistill.runtime.errors import UserError

TRAIN = [
    Example("1", "a", "the first source", ("one two three four five six",)),
    Example("2", "b", "another source", ("red green blue",)),
]


def splits(*test):
    examples = [Example(f"t{n}", group, source, references) for n, (group, source, references) in enumerate(test)]
    return {"train": TRAIN, "dev": [Example("d", "z", "unlike", ("nothing alike",))], "test": examples}


def test_nothing_shared():
    none = {"groups": 0, "sources": 0, "targets": 0, "ngrams": 0}
    assert leakage(splits(("c", "new", ("entirely new words",)))) == {"dev": none, "test": none}


def test_train_against_itself_is_all_shared():
    shares = leakage({"train": TRAIN, "test": TRAIN})
    assert shares == {"test": {"groups": 1, "sources": 1, "targets": 1, "ngrams": 1}}


def test_shares_are_over_groups_examples_and_references():
    shares = leakage(
        splits(
            ("a", "The first source!", ("Red, green, blue.", "unseen words only")),
            ("a", "new", ("never said before",)),
            ("c", "newer", ("nor was this",)),
        )
    )["test"]
    assert shares["groups"] == 1 / 2
    assert shares["sources"] == 1 / 3
    assert shares["targets"] == 1 / 4
    assert shares["ngrams"] == 1 / 4


def test_ngrams_count_parts_of_a_target():
    # 3-grams: "two three four" and "three four five" are in train, "four five nine" is not
    assert leakage(splits(("c", "new", ("two three four five nine",))), n=3)["test"]["ngrams"] == pytest.approx(2 / 3)


def test_a_target_shorter_than_n_is_one_gram_wherever_it_stands():
    shares = leakage(splits(("c", "new", ("three four five",)), ("c", "new", ("five four three",))), n=8)["test"]
    assert shares["ngrams"] == 1 / 2
    assert shares["targets"] == 0


def test_grams_do_not_reach_across_training_targets():
    assert leakage(splits(("c", "new", ("five six red green",))), n=4)["test"]["ngrams"] == 0


def test_an_empty_split_is_named():
    with pytest.raises(UserError, match="split 'dev' is empty"):
        leakage({"train": TRAIN, "dev": []})


@pytest.mark.parametrize(
    ("train", "other"),
    [
        ("मेरा बेटा", "मेरी बेटी"),
        ("กิน", "กัน"),
        ("كَتَبَ", "كُتِبَ"),
        ("1 + 2", "1 * 2"),
        ("\U0001f600", "\U0001f621"),
        ("-", "*"),
    ],
)
def test_marks_and_symbols_tell_texts_apart(train, other):
    def example(text):
        return Example(text, text, text, (text,))

    shares = leakage({"train": [example(train)], "same": [example(f" {train}")], "other": [example(other)]})
    assert {shares["same"][measure] for measure in ("sources", "targets", "ngrams")} == {1}
    assert {shares["other"][measure] for measure in ("sources", "targets", "ngrams")} == {0}
