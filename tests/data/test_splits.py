import pytest
from fdistill.data.sources import Example
from fdistill.data.sources.splits import linked, one_per_reference, split_by_group
from fdistill.runtime.errors import UserError


def examples(groups, size=3):
    return [Example(f"{g}/{i}", f"g{g}", f"source {g} {i}", ("target",)) for g in range(groups) for i in range(size)]


def test_no_group_is_cut_and_sizes_are_met():
    splits = split_by_group(examples(50), dev_size=10, test_size=20)
    groups = {name: {example.group for example in part} for name, part in splits.items()}
    assert list(splits) == ["train", "dev", "test"]
    assert (len(splits["dev"]), len(splits["test"])) == (10, 20)
    assert not groups["train"] & groups["dev"] and not groups["train"] & groups["test"]
    assert not groups["dev"] & groups["test"]
    assert len(splits["train"]) == 3 * (50 - 4 - 7)  # what overshoots (2 and 1 examples) belongs nowhere


def test_order_of_the_input_does_not_matter():
    forwards = split_by_group(examples(50, size=1), 5, 5)
    assert split_by_group(examples(50, size=1)[::-1], 5, 5) == forwards


def test_dev_and_test_are_not_simply_the_first_groups():
    test = {example.group for example in split_by_group(examples(50, size=1), 5, 5)["test"]}
    assert test != {f"g{number}" for number in range(5)}


def test_nothing_left_to_train_on():
    with pytest.raises(UserError, match=r"source\.dev_size and source\.test_size: 4 and 2 .*6 examples in 2 groups"):
        split_by_group(examples(2), dev_size=4, test_size=2)


def test_items_that_share_a_key_through_others_form_a_group():
    keys = {"d": [1], "c": [1, 2], "a": [3], "b": [2], "e": [4, 5], "f": [5], "g": []}
    assert linked(keys) == {"d": "b", "c": "b", "b": "b", "a": "a", "e": "e", "f": "e", "g": "g"}


def test_an_example_per_reference():
    rows = one_per_reference(Example("w", "g", "source", ("one", "two")))
    assert rows == [Example("w/0", "g", "source", ("one",)), Example("w/1", "g", "source", ("two",))]
