"""The file of bootstrap replicates (see `fdistill.evaluation.resampling`) beside each JSON file of scores or risks."""

from pathlib import Path

import numpy as np

from fdistill.artifacts.files import read_parquet, write_parquet
from fdistill.artifacts.lineage import Lineage, common_lineage
from fdistill.data import schemas
from fdistill.evaluation.resampling import sampling
from fdistill.runtime.errors import UserError

FILE_IN_HELP = "NAME.replicates.parquet"
Replicates = dict[str, list[list[float]]]  # by metric or risk: (S, R), of each seed's value


def beside(path: Path) -> Path:
    """Return the path of the replicates of a JSON file: `score.replicates.parquet` beside `score.json`."""
    return path.with_suffix(".replicates.parquet")


def write_replicates(path: Path, replicates: dict[str, list[list[float]] | None], lineage: Lineage) -> None:
    """Write, beside the JSON file at `path`, the replicates of all that have a value, with their system's lineage."""
    known = {key: values for key, values in replicates.items() if values is not None}
    rows = [(key, of_seed) for key, of_seeds in known.items() for of_seed in of_seeds]
    columns = {"metric": [key for key, _ in rows], "values": [of_seed for _, of_seed in rows]}
    write_parquet(beside(path), columns, schemas.REPLICATES, {"lineage": lineage, "sampling": sampling()})


def read_replicates(path: Path) -> Replicates:
    """Read the replicates beside the JSON file at `path`.

    Raises UserError as `fdistill.artifacts.files` does, for replicates that belong to another run than the JSON file,
    for another number of them, one that is not finite, and inputs that were sampled in another way.
    """
    common_lineage(path, beside(path))
    columns, identity = read_parquet(beside(path), schemas.REPLICATES)
    if identity.get("sampling") != sampling():
        raise UserError(
            f"{beside(path)}: its inputs were sampled ({identity.get('sampling')}) otherwise than with this version "
            f"({sampling()}), so that systems cannot be compared; delete {path} and run again"
        )
    replicates: Replicates = {}
    for key, of_seed in zip(columns["metric"], columns["values"], strict=True):
        if len(of_seed) != len(columns["values"][0]) or not np.isfinite(of_seed).all():
            raise UserError(
                f"{beside(path)}: '{key}' must have as many finite numbers for each seed as the others; delete {path} "
                "and run again"
            )
        replicates.setdefault(key, []).append(of_seed)
    return replicates
