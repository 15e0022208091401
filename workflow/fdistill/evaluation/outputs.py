"""Reads a system's outputs on a test split, and checks that they belong to this split."""

from dataclasses import dataclass
from pathlib import Path

from fdistill.artifacts.files import read_parquet
from fdistill.artifacts.lineage import check_splits, common_lineage
from fdistill.artifacts.records import remedy
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Outputs:
    """The columns that evaluation needs, with one entry per test input in the split's order."""

    ids: list[str]
    sources: list[str]
    references: list[list[str]]
    hypotheses: list[str]


def read_outputs(test: Path | str, generations: Path | str) -> Outputs:
    """Read a test split and the outputs generated from it.

    Raises UserError unless `generations` has the ids of `test` in the same order.
    """
    check_splits(test=Path(test))
    common_lineage(Path(test), Path(generations))
    split, _ = read_parquet(test, SPLIT)
    generated, _ = read_parquet(generations, GENERATIONS)
    expected, actual = split["id"], generated["id"]
    if len(actual) != len(expected):
        raise UserError(
            f"{generations}: {len(actual)} rows, but {test} has {len(expected)} inputs; {remedy(generations)}"
        )
    for row, (wanted, id_) in enumerate(zip(expected, actual, strict=True)):
        if wanted != id_:
            raise UserError(
                f"{generations}: row {row} has id '{id_}', but {test} has '{wanted}' there; {remedy(generations)}"
            )
    return Outputs(expected, split["source"], split["references"], generated["hypothesis"])
