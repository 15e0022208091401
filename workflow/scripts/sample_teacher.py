"""Sample sequences from the teacher offline for every input of a split, and write them as token ids."""

import argparse
from functools import partial
from pathlib import Path

from fdistill.artifacts.lineage import common_lineage
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import write_samples
from fdistill.losses.sequences import TEACHER_SEQUENCES
from fdistill.models import checkpoints, fsdp
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.sampling.offline import sample_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="split whose inputs are sampled for, Parquet")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--samples", type=Path, required=True, help="Parquet file to write")
    cli.add_max_examples_flag(parser)
    cli.add_offline_flags(parser)
    cli.add_shard_flag(parser)
    for section in ("text", "offline_sampling"):
        schema_flags.add_flags(parser, section)
    parser.add_argument("--kind", choices=TEACHER_SEQUENCES, help="what the sequences are to methods (default: any)")
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "samples")
    lineage = common_lineage(args.split, teacher=args.teacher, task=args.task)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    teacher = checkpoints.load(args.teacher, device)
    if args.shard_teacher:
        fsdp.shard(teacher.model, ranks)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    encoded, _ = read_split(args.split, teacher, limits, args.max_examples)
    made_from = {"lineage": lineage, **sample_identity(args.teacher, teacher.tokenizer, args.split)}
    if args.kind:
        made_from["kind"] = args.kind
    settings, write = schema_flags.read_flags(args, "offline_sampling"), partial(write_samples, args.samples)
    sample_split(args, ranks, teacher.model, encoded, settings, limits.max_target_tokens, made_from, write)


if __name__ == "__main__":
    cli.run(main)
