"""Add up the cost of a study, by stage and method, from the records that its jobs have written."""

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
        "--targets", nargs="+", type=Path, metavar="FILE", help="results whose cost is added up (default: all)"
    )
    parser.add_argument("--json", type=Path, required=True, help="the ledger to write, JSON")
    parser.add_argument("--table", type=Path, required=True, help="the same as a table; the suffix names the format")
    args = cli.parse(parser, "json", "table")
    content = ledger(args.results, args.targets)
    write_json(args.json, content)
    tables.write(table(content), [args.table])
    for path in content["missing"]:
        logging.warning("no record of %s: its cost is not in the sums", path)
    total = content["total"]
    logging.info("%d jobs, %.2f h, %.2f GPU hours", total["jobs"], total["wall_seconds"] / 3600, total["gpu_hours"])


if __name__ == "__main__":
    cli.run(main)
