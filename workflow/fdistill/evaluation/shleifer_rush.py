"""The students of Shleifer & Rush 2020 as they name them: `bart 12-3` is a student of BART with 12 and 3 layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.artifacts.manifest import manifest_of
from fdistill.artifacts.shapes import COUNT
from fdistill.models.families import FAMILIES
from fdistill.models.student_layers import SPACED, TEACHER, Layers, Start
from fdistill.runtime.errors import UserError

METHODS = ("sft", "kd", "pl")  # the three families of Table 5
MIXTURES = ("sft", "pl", "orig_pl", "orig_pl_pl")  # what Table 10 trains on


@dataclass(frozen=True)
class Models:
    """A task's teacher and the starts of its students; None is the default size."""

    family: str
    depths: dict[str, int]  # the teacher's layers, by stack
    starts: dict[str | None, dict[str, Start]]

    @property
    def teacher_key(self) -> dict[str, str]:
        """What a published table's row of the teacher says."""
        return {"teacher": self.family, "size": _notation(self.depths)}

    @property
    def teacher_label(self) -> str:
        """Return the teacher's family and layers, as `label` does those of a student."""
        return f"{self.family} {_notation(self.depths)}"

    def key(self, size: str | None) -> dict[str, str] | None:
        """Return what a published table's row of a size says; None of layers chosen otherwise than the paper's."""
        starts = self.starts_of(size)
        if any((start.choose, start.origin) != (SPACED, TEACHER) for start in starts.values()):
            return None
        if any(not isinstance(start.layers, int) for start in starts.values()):
            return None
        return {"teacher": self.family, "size": self.notation(size)}

    def notation(self, size: str | None) -> str:
        """Return the numbers of layers as `12-3`."""
        return _notation({stack: start.count for stack, start in self.starts_of(size).items()})

    def label(self, size: str | None) -> str:
        """Return the teacher's family and the notation, with the size's name if that is another one."""
        notation = self.notation(size)
        return f"{self.family} {notation}" + ("" if size in (None, notation) else f" ({size})")

    def copied(self, size: str | None) -> dict[str, Layers]:
        """Return the layers that a size's stacks are copied from; None in the place of a random one."""
        return {stack: start.copied(self.depths[stack]) for stack, start in self.starts_of(size).items()}

    def starts_of(self, size: str | None) -> dict[str, Start]:
        """Return how a size's stacks start; raises UserError for a size without a start."""
        if size not in self.starts:
            name = "init_student" if size is None else f"init_student-{size}"
            raise UserError(f"there is a result of size '{size or 'default'}', but no start of it; give TASK/{name}")
        return self.starts[size]


def read_models(teacher: Path, starts: Mapping[str | None, Path]) -> Models:
    """Read the folders of a teacher and of its untrained students by size, which rule `init_student` wrote.

    Raises UserError for a folder that lacks the file or the key that says so.
    """
    family, depths = read_depths(teacher)
    return Models(family, depths, {size: _read_start(folder, depths) for size, folder in starts.items()})


def read_depths(teacher: Path) -> tuple[str, dict[str, int]]:
    """Return a teacher's family, and its layers by stack, from its folder.

    Raises UserError for a folder of another family, or without the numbers of layers.
    """
    config = teacher / "config.json"
    family = read_json(config, {"model_type": str})["model_type"]
    if family not in FAMILIES:
        raise UserError(f"{config}: unknown model family '{family}'; give the folder of a teacher of this workflow")
    keys = {stack: place.size_key for stack, place in FAMILIES[family].stacks.items()}
    content = read_json(config, dict.fromkeys(keys.values(), COUNT))
    return family, {stack: content[key] for stack, key in keys.items()}


def _read_start(folder: Path, depths: Mapping[str, int]) -> dict[str, Start]:
    layers: Any = manifest_of(folder).get("layers")
    if not isinstance(layers, dict) or set(layers) != set(depths):
        raise UserError(
            f"{folder}: does not say which layers of the teacher's {' and '.join(depths)} its student copies; give the "
            "folder of an untrained student of this teacher (rule init_student)"
        )
    return {stack: Start.read(layers[stack]) for stack in depths}


def _notation(counts: Mapping[str, int]) -> str:
    return "-".join(map(str, counts.values()))
