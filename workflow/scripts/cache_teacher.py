"""Run the teacher once on its samples of the training split, and store what distillation would compute each epoch."""

import argparse
from pathlib import Path

from fdistill.artifacts.files import sha256
from fdistill.artifacts.lineage import common
from fdistill.artifacts.manifest import model_identity, versions
from fdistill.config import cli
from fdistill.config.schema import section
from fdistill.data.encoding import Limits, read_split
from fdistill.data.samples import read_samples
from fdistill.models import checkpoints
from fdistill.runtime.device import set_up
from fdistill.runtime.precision import autocast
from fdistill.sampling.teacher_cache import STATES, TOP_K, TOPK, cache_identity, write_cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="the training split, Parquet")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--teacher-samples", type=Path, required=True, help="its samples of the split, Parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder to write")
    parser.add_argument("--kind", choices=[STATES, TOPK], default=STATES, help="what is stored (default: states)")
    parser.add_argument(
        "--top-k", type=int, default=TOP_K, help=f"tokens of which topk keeps log-probabilities (default: {TOP_K})"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="sequences per forward pass (default: 32)")
    parser.add_argument("--max-examples", type=int, help="as the samples were drawn with (default: all)")
    precisions = section("training")["properties"]["precision"]["enum"]
    parser.add_argument("--precision", choices=precisions, default="auto", help="that of the training (default: auto)")
    cli.add_run_flags(parser)
    cli.add_flags(parser, "text")
    args = parser.parse_args()
    lineage = common(args.split, args.teacher_samples, teacher=args.teacher)
    device = set_up(args.device, args.threads)
    teacher = checkpoints.load(args.teacher, device)
    limits = Limits(**cli.read_flags(args, "text"))
    encoded, _ = read_split(args.split, teacher, limits, args.max_examples)
    identity = {
        "teacher": model_identity(args.teacher),
        "tokenizer": checkpoints.tokenizer_identity(teacher.tokenizer),
        "split": sha256(args.split),
    }
    samples = read_samples(args.teacher_samples, encoded.ids, identity)
    write_cache(
        args.cache,
        teacher.model,
        [source for source, sampled in zip(encoded.sources, samples, strict=True) for _ in sampled],
        [sequence for sampled in samples for sequence in sampled],
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
