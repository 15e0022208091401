"""Compare a task's students with each other in every metric and risk: differences, intervals, paired tests."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.config import cli
from fdistill.config.placed_files import OF_ANY, add_files_flag, paths
from fdistill.evaluation.comparisons import compare_task
from fdistill.evaluation.replicates import FILE_IN_HELP, beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for flag, name in (("--metrics", "metrics.json"), ("--risks", "risk.json")):
        text = f"{name} of each student and the teacher, with {FILE_IN_HELP} beside it"
        add_files_flag(parser, flag, OF_ANY, text)
    parser.add_argument("--students", nargs="+", required=True, help="the systems to compare, in the tables' order")
    parser.add_argument("--task", required=True, help="the task, which the files must say")
    parser.add_argument("--output", type=Path, required=True, help="the comparisons to write (JSON)")
    args = cli.parse(parser, "output", beside=dict.fromkeys(("metrics", "risks"), beside))

    result = compare_task(paths(args.metrics), paths(args.risks), args.students, args.task)
    write_json(args.output, result)
    for key, metric in result["metrics"].items():
        logging.info("%s: %s not worse than any other", key, ", ".join(metric["leaders"]) or "no system")
        for note in metric["notes"]:
            logging.warning("%s: %s", key, note)


if __name__ == "__main__":
    cli.run(main)
