"""Score the labels that methods learn from against the ground truth of the training split, by a task's metrics."""

import argparse
import os
from pathlib import Path

from fdistill.artifacts.files import read_parquet, sha256, write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.config import arguments, cli
from fdistill.data.encoding import rows_of
from fdistill.data.lines import tidy_lines
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.data.schemas import SPLIT
from fdistill.evaluation.metrics import METRICS, evaluate
from fdistill.losses.sequences import STORED_SEQUENCES
from fdistill.models.outlines import describe
from fdistill.models.tokenization import decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"metrics: {', '.join(METRICS)}")
    parser.add_argument("--split", type=Path, required=True, help="training split, Parquet")
    parser.add_argument("--samples", type=Path, required=True, help="stored sequences of it, Parquet")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher, for its tokenizer")
    parser.add_argument("--kind", choices=STORED_SEQUENCES, required=True, help="what the sequences are to methods")
    parser.add_argument("--metrics", nargs="+", required=True, metavar="METRIC", help="keys")
    cli.add_metric_options_flag(parser)
    cli.add_max_examples_flag(parser)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument(
        "--threads", type=arguments.count, default=1, help="processes of TER, CPU threads of encoders (default: 1)"
    )
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "output")
    lineage = common_lineage(args.split, args.samples, teacher=args.teacher, task=args.task)
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # read by torch, which only some metrics import
    tokenizer = describe(args.teacher).tokenizer
    split, _ = read_parquet(args.split, SPLIT)
    rows = rows_of(len(split["id"]), args.max_examples)
    ids, references = ([split[name][row] for row in rows] for name in ("id", "references"))
    identity = sample_identity(args.teacher, tokenizer, args.split)
    first = [labels[0] for labels in read_samples(args.samples, ids, identity, args.kind)]
    texts = list(map(tidy_lines, decode(tokenizer, first)))
    scores = evaluate(texts, references, args.metrics, args.metric_options, args.threads)
    for entry in scores["metrics"].values():
        del entry["replicates"]  # of the training split: its size makes intervals needless
    content = {"task": args.task, "kind": args.kind, **scores, "samples": sha256(args.samples), "lineage": lineage}
    write_json(args.output, content)


if __name__ == "__main__":
    cli.run(main)
