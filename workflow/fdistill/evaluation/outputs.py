"""A system's outputs on a test split, checked to be the outputs on that very split."""

from dataclasses import dataclass
from pathlib import Path

from fdistill.artifacts.files import read_parquet
from fdistill.artifacts.lineage import common
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Outputs:
    """The columns that evaluation needs, one entry per test input, in the split's order."""

    ids: list[str]
    sources: list[str]
    references: list[list[str]]
    hypotheses: list[str]


def read_outputs(test: Path | str, generations: Path | str) -> Outputs:
    """Read a test split and the outputs generated from it.

    Raises UserError unless the ids of `generations` are those of `test`, in the same order.
    """
    common(Path(test), Path(generations))
    split, _ = read_parquet(test, SPLIT)
    generated, _ = read_parquet(generations, GENERATIONS)
    expected, found = split["id"], generated["id"]
    if len(found) != len(expected):
        raise UserError(
            f"{generations}: {len(found)} rows, but {test} has {len(expected)} inputs; generate again from this split"
        )
    for row, (wanted, id_) in enumerate(zip(expected, found, strict=True)):
        if wanted != id_:
            raise UserError(
                f"{generations}: row {row} has id '{id_}', but {test} has '{wanted}' there; "
                "generate again from this split"
            )
    return Outputs(expected, split["source"], split["references"], generated["hypothesis"])
