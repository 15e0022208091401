"""Encode another teacher's labels, which are text, with the student's tokenizer, as sample_teacher stores sequences."""

import argparse
from pathlib import Path

from fdistill.artifacts.files import read_parquet, sha256
from fdistill.artifacts.lineage import common_lineage
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import encode_labels, rows_of
from fdistill.data.labels import read_labels
from fdistill.data.limits import Limits
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import write_samples
from fdistill.data.schemas import SPLIT
from fdistill.losses.sequences import OTHER_TEACHER_BEAM
from fdistill.models.outlines import describe
from fdistill.runtime.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="training split, Parquet")
    parser.add_argument("--labels", type=Path, required=True, help="its labels, Parquet, made by label")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher, for its tokenizer")
    parser.add_argument("--samples", type=Path, required=True, help="Parquet file to write")
    cli.add_max_examples_flag(parser)
    schema_flags.add_flags(parser, "text")
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "samples")
    lineage = common_lineage(args.split, args.labels, teacher=args.teacher, task=args.task)
    ids = read_parquet(args.split, SPLIT)[0]["id"]
    ids = [ids[row] for row in rows_of(len(ids), args.max_examples)]
    columns, made_by = read_labels(args.labels, ids, args.split)
    if made_by["split"] != sha256(args.split):
        raise UserError(f"{args.labels}: made for another version of the split; run rule label again")
    tokenizer = describe(args.teacher).tokenizer
    limits = Limits(**schema_flags.read_flags(args, "text"))
    columns["tokens"] = encode_labels(columns.pop("text"), tokenizer, limits, str(args.labels))
    columns["finished"] = [True] * len(columns["tokens"])  # the tokens of a text end in EOS
    identity = made_by | {
        "lineage": lineage,
        **sample_identity(args.teacher, tokenizer, args.split),
        "kind": OTHER_TEACHER_BEAM,
        "labels": sha256(args.labels),
    }
    write_samples(args.samples, columns, identity)


if __name__ == "__main__":
    cli.run(main)
