"""Aggregate a system's metrics or risks over its seeds: mean, standard deviation, interval, and each seed's value."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.config import arguments, cli
from fdistill.evaluation.aggregate import aggregate_risks, aggregate_scores
from fdistill.evaluation.replicates import FILE_IN_HELP, beside, write_replicates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    files = parser.add_mutually_exclusive_group(required=True)
    files.add_argument(
        "--scores", nargs="+", type=Path, metavar="FILE", help=f"score.json of each seed, with {FILE_IN_HELP} beside it"
    )
    files.add_argument(
        "--risks", nargs="+", type=Path, metavar="FILE", help=f"risk.json of each seed, with {FILE_IN_HELP} beside it"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=arguments.seed, required=True, help="the seeds that the files must have"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help=f"the aggregated file to write (JSON), and beside it {FILE_IN_HELP}"
    )
    cli.add_place_flags(parser)
    args = cli.parse(parser, "output", beside=dict.fromkeys(("output", "scores", "risks"), beside))

    paths, aggregate = (args.scores, aggregate_scores) if args.scores else (args.risks, aggregate_risks)
    result, replicates = aggregate(paths, args.seeds, args.task, args.method)
    write_replicates(args.output, replicates, result["lineage"])
    write_json(args.output, result)
    logging.info("%s/%s: %d seed(s)", result["task"], result["method"], len(paths))


if __name__ == "__main__":
    cli.run(main)
