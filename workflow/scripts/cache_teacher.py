"""Store the teacher's distributions on its samples of a split, which distillation otherwise recomputes."""

import argparse
from pathlib import Path

from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import versions
from fdistill.config import arguments, cli, schema_flags
from fdistill.config.schema import section
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.models import checkpoints
from fdistill.runtime.device import set_up_device
from fdistill.runtime.precision import autocast
from fdistill.sampling.cache_kinds import STATES, TOPK
from fdistill.sampling.teacher_cache import TOP_K, cache_identity, write_cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="training split or unlabelled inputs, Parquet")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--teacher-samples", type=Path, required=True, help="the teacher's samples of it, Parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder to write")
    parser.add_argument("--kind", choices=[STATES, TOPK], default=STATES, help="what is stored (default: states)")
    parser.add_argument(
        "--top-k", type=arguments.count, default=TOP_K, help=f"tokens per position that topk stores (default: {TOP_K})"
    )
    parser.add_argument(
        "--batch-size", type=arguments.count, default=32, help="sequences per forward pass (default: 32)"
    )
    parser.add_argument("--max-examples", type=arguments.count, help="the same as for the samples (default: all)")
    precisions = section("training")["properties"]["precision"]["enum"]
    parser.add_argument("--precision", choices=precisions, default="auto", help="as in training (default: auto)")
    cli.add_run_flags(parser)
    schema_flags.add_flags(parser, "text")
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "cache")
    lineage = common_lineage(args.split, args.teacher_samples, teacher=args.teacher, task=args.task)
    device = set_up_device(args.device, args.threads)
    teacher = checkpoints.load(args.teacher, device)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    encoded, _ = read_split(args.split, teacher, limits, args.max_examples)
    identity = sample_identity(args.teacher, teacher.tokenizer, args.split)
    samples = read_samples(args.teacher_samples, encoded.ids, identity, "teacher_samples")
    write_cache(
        args.cache,
        teacher.model,
        [source for source, sequences in zip(encoded.sources, samples, strict=True) for _ in sequences],
        [sequence for sequences in samples for sequence in sequences],
        args.kind,
        args.top_k,
        args.batch_size,
        autocast(args.precision, device),
        {
            "stage": "cache_teacher",
            "lineage": lineage,
            "inputs": cache_identity(args.teacher, args.teacher_samples, encoded.ids, limits, args.precision, device),
            "top_k": args.top_k,
            "versions": versions(),
        },
    )


if __name__ == "__main__":
    cli.run(main)
