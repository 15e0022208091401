"""Where inputs come from, and that they belong together: one version of the data, one teacher, one seed.

Every stage writes the facts of its inputs into its outputs: under `lineage` in a Parquet file's or a training curve's
identity, in a JSON file and in a model's manifest. Inputs that disagree about one of them are of different runs.
"""

from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_identity
from fdistill.artifacts.manifest import manifest_of, model_identity
from fdistill.runtime.errors import UserError

# The facts, in the order in which they are compared, and in words.
DATA, TEACHER, SEED = "data", "teacher", "seed"
_WORDS = {DATA: "version of the data", TEACHER: "teacher", SEED: "seed"}

Facts = dict[str, str]


def lineage_of(path: Path) -> Facts:
    """What a file or a model's folder says of where it comes from; nothing if it is from elsewhere."""
    if path.is_dir():
        return manifest_of(path).get("lineage", {})
    return read_identity(path).get("lineage", {})


def common(*inputs: Path, teacher: Path | None = None, seed: int | None = None, seeds_differ: bool = False) -> Facts:
    """The facts that hold for all of `inputs`, for a stage that has its own `seed`, and for its `teacher`'s students.

    With `seeds_differ` the inputs may be of several seeds. Raises UserError for two that cannot be of one run.
    """
    said: list[tuple[Any, Facts]] = [("this run", {} if seed is None else {SEED: str(seed)})]
    if teacher is not None:  # its seed is another matter: one teacher serves the students of all seeds
        data = {key: value for key, value in lineage_of(teacher).items() if key == DATA}
        said.append((teacher, data | {TEACHER: model_identity(teacher)}))
    said += [(path, lineage_of(path)) for path in inputs]
    found: dict[str, tuple[Any, str]] = {}
    for place, facts in said:
        for key in _WORDS if not seeds_differ else (DATA, TEACHER):
            if key not in facts:
                continue
            first, value = found.setdefault(key, (place, facts[key]))
            if value != facts[key]:
                raise UserError(
                    f"{place}: is of another {_WORDS[key]} than {first} ({facts[key][:12]}, not {value[:12]}); "
                    "give files of one run, or delete the older one and run the rule that makes it again"
                )
    return {key: value for key, (_, value) in found.items()}
