"""Stored teacher samples, which are read only by runs that use the same teacher, tokenizer and split.

The file records the identity of all three, and a run that uses others is refused: it would train on sequences that
belong to something else.
"""

from pathlib import Path

from fdistill.artifacts.files import read_parquet, write_parquet
from fdistill.artifacts.records import remedy
from fdistill.data.schemas import SAMPLES
from fdistill.runtime.errors import UserError

MISMATCH = {
    "teacher": "they were sampled from another teacher",
    "tokenizer": "their token ids belong to another tokenizer",
    "split": "they were sampled for another version of the split",
}


def write_samples(path: Path | str, columns: dict[str, list], identity: dict[str, str]) -> None:
    """Write the columns of `sampling.offline.sample_sequences`; `identity` has at least the keys of `MISMATCH`."""
    write_parquet(path, columns, SAMPLES, identity)


def read_samples(
    path: Path | str, ids: list[str], identity: dict[str, str], kind: str | None = None
) -> list[list[list[int]]]:
    """Return the token ids of the samples of each input in `ids`, in this order: [input][sample][token].

    Raises UserError when the file's identity differs from `identity` or says another `kind`, when an input has no
    sample, or when a sample has no tokens.
    """
    columns, recorded = read_parquet(path, SAMPLES)
    for key, expected in identity.items():
        if recorded.get(key) != expected:
            raise UserError(
                f"{path}: {MISMATCH[key]} ({key} {str(recorded.get(key))[:12]}, in use {expected[:12]}); {remedy(path)}"
            )
    if kind is not None and (found := recorded.get("kind", kind)) != kind:
        raise UserError(f"{path}: contains {found}, expected {kind}; give that file")
    by_id: dict[str, list[list[int]]] = {}
    for row, (example, tokens) in enumerate(zip(columns["id"], columns["tokens"], strict=True)):
        if not tokens:
            raise UserError(f"{path}: row {row} (id '{example}') has no tokens; {remedy(path)}")
        by_id.setdefault(example, []).append(tokens)
    missing = [example for example in ids if example not in by_id]
    if missing:
        raise UserError(
            f"{path}: no sample for {len(missing)} of {len(ids)} inputs (first: '{missing[0]}'); {remedy(path)}"
        )
    return [by_id[example] for example in ids]
