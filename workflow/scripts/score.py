"""Score one system's outputs on a test split: every metric of the task, for one seed."""

import argparse
import logging
import os
from pathlib import Path

from fdistill.artifacts.files import sha256, write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.config import arguments, cli
from fdistill.config.schema import STUDY, section
from fdistill.config.schema_flags import add_flag
from fdistill.evaluation.metrics import METRICS, ScoreStore, encoders, evaluate, versions
from fdistill.evaluation.outputs import read_outputs
from fdistill.evaluation.replicates import FILE_IN_HELP, beside, write_replicates
from fdistill.runtime.interruption import Interruption, Stopped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"metrics: {', '.join(METRICS)}")
    parser.add_argument("--test", type=Path, required=True, help="the test split (Parquet)")
    parser.add_argument("--generations", type=Path, required=True, help="the system's outputs on it (Parquet)")
    parser.add_argument("--metrics", nargs="+", required=True, metavar="METRIC", help="keys, in column order")
    cli.add_metric_options_flag(parser)
    cli.add_place_flags(parser, required=True)
    parser.add_argument(
        "--seed", type=arguments.seed, required=True, help="the seed of the run, recorded in the output"
    )
    parser.add_argument(
        "--threads", type=arguments.count, default=1, help="processes of TER, CPU threads of encoders (default: 1)"
    )
    add_flag(parser, "--device", section(STUDY)["properties"]["device"])
    parser.add_argument(
        "--so-far",
        type=Path,
        metavar="FILE",
        help="file for the scores of single metrics, from which a run goes on after one that was interrupted or in "
        "which a metric failed; it is deleted at the end (default: nothing is stored)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help=f"the scores to write (JSON), and beside it {FILE_IN_HELP}"
    )
    args = cli.parse(parser, "output", beside={"output": beside})

    lineage = common_lineage(args.test, args.generations, seed=args.seed, task=args.task, method=args.method)
    outputs = read_outputs(args.test, args.generations)
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # read by torch, which only some metrics import
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # likewise: encoders run on a GPU where they see one
    identity = {
        "test": sha256(args.test),
        "generations": sha256(args.generations),
        "options": args.metric_options,
        "encoders": {
            key: encoders.files_of(options["model"])
            for key, options in args.metric_options.items()
            if options.get("model")
        },
        "versions": versions(args.metrics),
    }
    store = ScoreStore(args.so_far, identity)
    interruption = Interruption()
    try:
        with interruption, interruption.at_once():
            scores = evaluate(
                outputs.hypotheses, outputs.references, args.metrics, args.metric_options, args.threads, store
            )
    except Stopped:
        logging.warning("%s: stopped; run again to go on", interruption.reason)
        raise
    metrics = scores["metrics"]
    replicates = {key: entry.pop("replicates") for key, entry in metrics.items()}
    replicates = {key: values and [values] for key, values in replicates.items()}  # of one seed
    write_replicates(args.output, replicates, lineage)
    write_json(args.output, {"task": args.task, "method": args.method, "seed": args.seed, **scores, "lineage": lineage})
    store.remove()


if __name__ == "__main__":
    cli.run(main)
