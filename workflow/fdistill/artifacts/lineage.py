"""The lineage of results: which version of the data, which teacher and which seed they were made from.

Every stage writes the lineage of its inputs into its outputs: as `lineage` in the identity of a Parquet file or a
training curve, in a JSON file, and in a model's manifest. Inputs whose lineages disagree belong to different runs.
"""

from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_identity
from fdistill.artifacts.manifest import manifest_of, model_identity
from fdistill.runtime.errors import UserError

# The keys of a lineage, in the order in which they are compared, and their names in messages.
DATA, TEACHER, SEED = "data", "teacher", "seed"
_NAMES = {DATA: "version of the data", TEACHER: "teacher", SEED: "seed"}

Lineage = dict[str, str]


def lineage_of(path: Path) -> Lineage:
    """Return the lineage that a file or a model's folder contains; empty if this workflow did not make it."""
    if path.is_dir():
        return manifest_of(path).get("lineage", {})
    return read_identity(path).get("lineage", {})


def common_lineage(
    *inputs: Path, teacher: Path | None = None, seed: int | None = None, seeds_differ: bool = False
) -> Lineage:
    """Return the lineage that the inputs of a stage share.

    `teacher` is the folder of the stage's teacher and `seed` the stage's own seed, if it has one: the inputs must agree
    with them. With `seeds_differ` the inputs may have different seeds. Raises UserError for inputs of different runs.
    """
    lineages: list[tuple[Any, Lineage]] = [("this run", {} if seed is None else {SEED: str(seed)})]
    if teacher is not None:  # without its seed: one teacher serves the students of all seeds
        data = {key: value for key, value in lineage_of(teacher).items() if key == DATA}
        lineages.append((teacher, data | {TEACHER: model_identity(teacher)}))
    lineages += [(path, lineage_of(path)) for path in inputs]
    first_of: dict[str, tuple[Any, str]] = {}  # by key: the first input that has it, and its value
    for source, lineage in lineages:
        for key in _NAMES if not seeds_differ else (DATA, TEACHER):
            if key not in lineage:
                continue
            first, value = first_of.setdefault(key, (source, lineage[key]))
            if value != lineage[key]:
                raise UserError(
                    f"{source}: belongs to another {_NAMES[key]} than {first} ({lineage[key][:12]}, not {value[:12]}); "
                    "give files of one run, or delete the older one and run the rule that makes it again"
                )
    return {key: value for key, (_, value) in first_of.items()}
