"""Sum what a study cost, by stage and method, from the records that its jobs have left."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.config import cli
from fdistill.evaluation import tables
from fdistill.evaluation.ledger import ledger, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="the study's folder (default: results)")
    parser.add_argument(
        "--targets", nargs="+", type=Path, required=True, metavar="FILE", help="the results whose making is summed"
    )
    parser.add_argument("--json", type=Path, required=True, help="the ledger to write, with sources and gaps (JSON)")
    parser.add_argument("--table", type=Path, required=True, help="the same as a table; the suffix names the format")
    args = parser.parse_args()
    found = ledger(args.results, args.targets)
    write_json(args.json, found)
    tables.write(table(found), [args.table])
    for path in found["missing"]:
        logging.warning("no record of %s: its cost is not in the sums", path)
    total = found["total"]
    logging.info("%d jobs, %.2f h, %.2f GPU hours", total["jobs"], total["wall_seconds"] / 3600, total["gpu_hours"])


if __name__ == "__main__":
    cli.run(main)
