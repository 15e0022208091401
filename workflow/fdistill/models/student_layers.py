"""Which of the teacher's layers a student copies, which supervise it, and the notation of its size."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fdistill.runtime.errors import UserError

# Teacher layers -> student layers -> copied layers: maximally spaced, first and last kept (Shleifer & Rush 2020,
# section 3, and the tables of its code, `make_student`; 24 layers, DialoGPT-medium: Wen et al. 2023). The published
# tables follow no formula: 12 -> 6 copies layer 7 where even spacing would copy 6 or 8.
LAYER_MAPS: dict[int, dict[int, list[int]]] = {
    6: {1: [0], 2: [0, 5], 3: [0, 2, 5], 4: [0, 1, 3, 5]},
    12: {
        1: [0],
        2: [0, 6],
        3: [0, 6, 11],
        4: [0, 4, 8, 11],
        6: [0, 2, 4, 7, 9, 11],
        9: [0, 1, 2, 4, 5, 7, 9, 10, 11],
    },
    16: {
        1: [0],
        2: [0, 15],
        3: [0, 8, 15],
        4: [0, 5, 10, 15],
        6: [0, 3, 6, 9, 12, 15],
        8: [0, 2, 4, 6, 8, 10, 12, 15],
        9: [0, 1, 3, 5, 7, 9, 11, 13, 15],
        12: [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15],
    },
    24: {4: [0, 8, 16, 23], 6: [0, 5, 10, 15, 20, 23], 12: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23]},
}

# Teacher layers -> student layers -> supervising layers: the published ones (footnote 5 of Shleifer & Rush 2020) that
# are not the ends of equal blocks.
SUPERVISING_MAPS: dict[int, dict[int, list[int]]] = {
    6: {2: [3, 5], 3: [1, 4, 5]},
    12: {6: [1, 3, 5, 8, 10, 11]},
    16: {4: [4, 9, 12, 15]},
}

RANDOM = None  # in the place of a layer's number: the layer is not copied, but has random weights
Layers = list[int | None]

TEACHER, PRETRAINED = "teacher", "pretrained"  # where layers are copied from; any other origin is a task, its teacher
SPACED = "spaced"


def _spaced(count: int, depth: int) -> list[int]:
    """Return the published layers, else evenly spaced ones with both ends; a single layer is layer 0."""
    if count == depth:
        return list(range(depth))
    if count in LAYER_MAPS.get(depth, {}):
        return list(LAYER_MAPS[depth][count])
    return [0] if count == 1 else [round(i * (depth - 1) / (count - 1)) for i in range(count)]


# How `count` of a teacher's `depth` layers are chosen (Shleifer & Rush 2020, Table 8: SFT, hi, lo, mid, 000, rand).
CHOICES: dict[str, Callable[[int, int], Layers]] = {
    SPACED: _spaced,
    "high": lambda count, depth: list(range(depth - count, depth)),
    "low": lambda count, depth: list(range(count)),
    "middle": lambda count, depth: [(depth - count + 1) // 2 + i for i in range(count)],
    "repeated": lambda count, depth: [0] * count,
    "random": lambda count, depth: [RANDOM] * count,
}


def copied_layers(count: int, depth: int, choose: str = SPACED) -> Layers:
    """Return the layers that a student of `count` layers copies from a teacher of `depth`, by one of `CHOICES`.

    RANDOM stands for a layer that is not copied. Raises UserError for a student without layers or with more layers
    than the teacher.
    """
    if not 1 <= count <= depth:
        raise UserError(
            f"model.student: a student of {count} layers cannot be copied from a teacher of {depth}; give 1 to {depth}"
        )
    return CHOICES[choose](count, depth)


def supervising_layers(student_layers: int, teacher_layers: int) -> list[int]:
    """Return φ: student layer i learns from teacher layer φ(i), the last one of the block that it stands for.

    A student of 3 layers and a teacher of 12 give [3, 7, 11] (Shleifer & Rush 2020, section 3). `SUPERVISING_MAPS` has
    their exceptions.
    """
    table = SUPERVISING_MAPS.get(teacher_layers, {})
    if student_layers in table:
        return list(table[student_layers])
    return [math.ceil((i + 1) * teacher_layers / student_layers) - 1 for i in range(student_layers)]


@dataclass(frozen=True)
class Start:
    """How one stack of a student starts: a number of layers and how they are chosen, or the layers themselves.

    `origin` is the model that they are copied from: TEACHER, PRETRAINED (the checkpoint that the teacher was fine-tuned
    from), or the name of a task, which stands for its teacher.
    """

    layers: int | list[int]
    choose: str = SPACED
    origin: str = TEACHER

    @classmethod
    def read(cls, value: int | list[int] | dict[str, Any]) -> "Start":
        """Return what a stack's value in `model.student` says: a number, a list, or both keys' mapping."""
        if not isinstance(value, dict):
            return cls(value)
        return cls(value["layers"], value.get("choose", SPACED), value.get("from", TEACHER))

    @property
    def count(self) -> int:
        """The number of layers."""
        return self.layers if isinstance(self.layers, int) else len(self.layers)

    @property
    def label(self) -> str:
        """The start in a figure: the number or list of layers, then how they are chosen and from where, if said."""
        words = (self.choose if self.choose != SPACED else "", self.origin if self.origin != TEACHER else "")
        return " ".join(filter(None, (str(self.layers), *words)))

    def copied(self, depth: int) -> Layers:
        """Return the layers to copy from a stack of `depth`; raises UserError as `copied_layers` does."""
        return copied_layers(self.layers, depth, self.choose) if isinstance(self.layers, int) else list(self.layers)


def origins(student: dict[str, Any]) -> list[str]:
    """Return the models besides the teacher that a student's layers are copied from, each once."""
    named = (Start.read(value).origin for value in student.values())
    return [origin for origin in dict.fromkeys(named) if origin != TEACHER]


def read_notation(student: str | dict[str, Any]) -> dict[str, Any]:
    """Return the layers per stack of a student that is given as a mapping or in the notation `12-3`.

    The notation is Shleifer & Rush's: encoder layers, a dash, decoder layers. Raises UserError for another text.
    """
    if isinstance(student, dict):
        return student
    if not (match := re.fullmatch(r"([1-9]\d{0,2})-([1-9]\d{0,2})", student)):
        raise UserError(f"'{student}' is no size; write the layers of encoder and decoder, as in 12-3")
    return {"encoder": int(match[1]), "decoder": int(match[2])}
