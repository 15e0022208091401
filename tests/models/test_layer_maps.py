"""Layer maps: the teacher layers that a student copies, and those that supervise it."""

from itertools import pairwise

import pytest
from fdistill.config.schema import section
from fdistill.models.student_layers import (
    CHOICES,
    Start,
    copied_layers,
    origins,
    read_notation,
    supervising_layers,
)
from fdistill.runtime.errors import UserError

# Shleifer & Rush 2020, section 3 and the tables of their code, and Wen et al. 2023 for 24 layers (DialoGPT)
PUBLISHED = {
    (12, 1): [0],
    (12, 2): [0, 6],
    (12, 3): [0, 6, 11],
    (12, 4): [0, 4, 8, 11],
    (12, 6): [0, 2, 4, 7, 9, 11],
    (12, 9): [0, 1, 2, 4, 5, 7, 9, 10, 11],
    (16, 1): [0],
    (16, 2): [0, 15],
    (16, 3): [0, 8, 15],
    (16, 4): [0, 5, 10, 15],
    (16, 6): [0, 3, 6, 9, 12, 15],
    (16, 8): [0, 2, 4, 6, 8, 10, 12, 15],
    (16, 9): [0, 1, 3, 5, 7, 9, 11, 13, 15],
    (16, 12): [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15],
    (6, 1): [0],
    (6, 2): [0, 5],
    (6, 3): [0, 2, 5],
    (6, 4): [0, 1, 3, 5],
    (24, 4): [0, 8, 16, 23],
    (24, 6): [0, 5, 10, 15, 20, 23],
    (24, 12): [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23],
}


@pytest.mark.parametrize(("sizes", "layers"), PUBLISHED.items())
def test_published_layer_maps(sizes, layers):
    teacher, student = sizes
    assert copied_layers(student, teacher) == layers


def test_every_other_map_is_spaced_and_keeps_both_ends():
    for teacher in range(1, 33):
        for student in range(1, teacher + 1):
            layers = copied_layers(student, teacher)
            assert len(layers) == student and layers == sorted(set(layers)) and layers[0] == 0
            if (teacher, student) in PUBLISHED:
                continue
            if student > 1:
                assert layers[-1] == teacher - 1
                gaps = {b - a for a, b in pairwise(layers)}
                assert max(gaps) - min(gaps) <= 1
    assert copied_layers(7, 7) == list(range(7))


@pytest.mark.parametrize(
    ("choose", "layers"),
    [  # Shleifer & Rush 2020, Table 8, with 3 of 12 layers
        ("spaced", [0, 6, 11]),
        ("high", [9, 10, 11]),
        ("low", [0, 1, 2]),
        ("middle", [5, 6, 7]),
        ("repeated", [0, 0, 0]),
        ("random", [None, None, None]),
    ],
)
def test_the_choices_of_table_8(choose, layers):
    assert copied_layers(3, 12, choose) == layers == Start.read({"layers": 3, "choose": choose}).copied(12)
    for depth in range(1, 20):
        for count in range(1, depth + 1):
            chosen = copied_layers(count, depth, choose)
            assert len(chosen) == count and all(layer is None or 0 <= layer < depth for layer in chosen)
            if choose in ("high", "low", "middle"):
                assert chosen == list(range(chosen[0], chosen[0] + count))
            if choose not in ("repeated", "random") and count == depth:
                assert chosen == list(range(depth))
    with pytest.raises(UserError, match="a student of 4 layers cannot be copied from a teacher of 3"):
        copied_layers(4, 3, choose)


def test_choices_origins_and_their_schema():
    properties = section("model.student")["properties"]["decoder"]["properties"]
    assert properties["choose"]["enum"] == list(CHOICES) and properties["choose"]["default"] == Start(1).choose
    assert properties["from"]["default"] == Start(1).origin
    student = {"encoder": {"layers": 2, "from": "teacher"}, "decoder": {"layers": [0, 0], "from": "xsum"}}
    assert origins(student) == ["xsum"] and origins({"encoder": 2, "decoder": [0]}) == []
    assert [Start.read(value).count for value in student.values()] == [2, 2]
    assert Start.read(3).copied(12) == [0, 6, 11] and Start.read([4, 0]).copied(12) == [4, 0]


def test_the_notation():
    assert read_notation("12-3") == {"encoder": 12, "decoder": 3}
    assert read_notation({"decoder": 2}) == {"decoder": 2}
    for text in ("12", "12-", "0-3", "12-3-1", "a-b", "12 - 3", "1000-1"):
        with pytest.raises(UserError, match=f"'{text}' is no size; write the layers of encoder and decoder, as in"):
            read_notation(text)


def test_a_caller_that_changes_a_map_does_not_change_the_table():
    copied_layers(3, 12).append(99)
    assert copied_layers(3, 12) == [0, 6, 11]


@pytest.mark.parametrize("sizes", [(0, 3), (4, 3), (-1, 3)])
def test_impossible_depths_are_refused(sizes):
    with pytest.raises(UserError, match=f"{sizes[0]} layers"):
        copied_layers(*sizes)


@pytest.mark.parametrize(
    ("sizes", "layers"),
    {
        **{(12, 1): [11], (12, 2): [5, 11], (12, 3): [3, 7, 11], (12, 6): [1, 3, 5, 8, 10, 11]},
        **{(16, 1): [15], (16, 4): [4, 9, 12, 15], (16, 8): [1, 3, 5, 7, 9, 11, 13, 15]},
        **{(6, 1): [5], (6, 2): [3, 5], (6, 3): [1, 4, 5], (6, 4): [1, 2, 4, 5]},
    }.items(),
)
def test_published_supervision(sizes, layers):
    """The lists behind footnote 5 of Shleifer & Rush 2020."""
    teacher, student = sizes
    assert supervising_layers(student, teacher) == layers


def test_supervision_ends_each_block():
    assert supervising_layers(3, 12) == [3, 7, 11]
    assert supervising_layers(12, 12) == list(range(12))
    assert supervising_layers(1, 12) == [11]
    assert supervising_layers(4, 12) == [2, 5, 8, 11]
    for teacher in range(1, 25):
        for student in range(1, 25):  # deeper than the teacher too, as repeated layers may make it
            layers = supervising_layers(student, teacher)
            assert len(layers) == student and layers == sorted(layers) and layers[-1] == teacher - 1
            assert layers[0] >= 0
            if student <= teacher:
                assert len(set(layers)) == student
