"""The file of a system's bootstrap replicates (see `fdistill.evaluation.resampling`)."""

from pathlib import Path

from fdistill.artifacts.files import read_parquet, write_parquet
from fdistill.artifacts.lineage import Lineage
from fdistill.data.schemas import REPLICATES

Replicates = dict[str, list[float]]  # by metric or risk


def write_replicates(path: Path, replicates: dict[str, list[float] | None], lineage: Lineage) -> None:
    """Write the replicates of each metric or risk that has a value, with the lineage of its system."""
    known = {key: values for key, values in replicates.items() if values is not None}
    write_parquet(path, {"metric": list(known), "values": list(known.values())}, REPLICATES, {"lineage": lineage})


def read_replicates(path: Path) -> Replicates:
    """Read what `write_replicates` wrote; raises UserError as `fdistill.artifacts.files.read_parquet`."""
    columns, _ = read_parquet(path, REPLICATES)
    return dict(zip(columns["metric"], columns["values"], strict=True))
