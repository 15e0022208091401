"""Layer maps: the teacher layers that a student copies, and those that supervise it."""

from itertools import pairwise

import pytest
from fdistill.models.student_layers import (
    copied_layers,
    supervising_layers,
)
from fdistill.runtime.errors import UserError

# Shleifer & Rush 2020, section 3, and Wen et al. 2023 for 24 layers (DialoGPT)
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
    (16, 8): [0, 2, 4, 6, 8, 10, 12, 15],
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


def test_a_caller_that_changes_a_map_does_not_change_the_table():
    copied_layers(3, 12).append(99)
    assert copied_layers(3, 12) == [0, 6, 11]


@pytest.mark.parametrize("sizes", [(0, 3), (4, 3), (-1, 3)])
def test_impossible_depths_are_refused(sizes):
    with pytest.raises(UserError, match=f"{sizes[0]} layers"):
        copied_layers(*sizes)


def test_supervision_ends_each_block():
    assert supervising_layers(3, 12) == [3, 7, 11]
    assert supervising_layers(12, 12) == list(range(12))
    assert supervising_layers(1, 12) == [11]
    assert supervising_layers(6, 12) == [1, 3, 5, 7, 9, 11]
    for teacher in range(1, 25):
        for student in range(1, 25):  # deeper than the teacher too, as repeated layers may make it
            layers = supervising_layers(student, teacher)
            assert len(layers) == student and layers == sorted(layers) and layers[-1] == teacher - 1
            assert layers[0] >= 0
            if student <= teacher:
                assert len(set(layers)) == student
