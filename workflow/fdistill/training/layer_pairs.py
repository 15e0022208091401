"""Which hidden states and attention weights of student and teacher are compared."""

from collections.abc import Iterator

from torch import Tensor

from fdistill.losses.inputs import LABELS, SOURCE
from fdistill.models.language_model import Context, Decoded
from fdistill.models.student_layers import supervising_layers


def hidden_pairs(
    student: tuple[Context, Decoded], teacher: tuple[Context, Decoded]
) -> list[tuple[Tensor, Tensor, str]]:
    """Pair the hidden states of student layer i and teacher layer φ(i), of encoder and decoder.

    Returns (student state, teacher state, positions) as `LossInputs.hidden_pairs` has them. State 0 is the output of
    the embeddings and is not supervised.
    """
    return [
        pair
        for part, positions in enumerate((SOURCE, LABELS))
        for pair in _paired(student[part].hidden_states[1:], teacher[part].hidden_states[1:], positions)
    ]


def attention_pairs(
    student: tuple[Context, Decoded], teacher: tuple[Context, Decoded]
) -> list[tuple[Tensor, Tensor, str]]:
    """Pair the attention weights of student layer i and teacher layer φ(i), of encoder and decoder, if there are any.

    Returns (student weights, teacher weights, positions) as `LossInputs.attention_pairs` has them.
    """
    return [
        pair
        for part, positions in enumerate((SOURCE, LABELS))
        for pair in _paired(student[part].attentions, teacher[part].attentions, positions)
    ]


def _paired(
    student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], positions: str
) -> Iterator[tuple[Tensor, Tensor, str]]:
    """Yield the pairs of one stack, which a decoder-only model may not have."""
    if student:
        for i, j in enumerate(supervising_layers(len(student), len(teacher))):
            yield student[i], teacher[j], positions
