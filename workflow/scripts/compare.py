"""Compare a task's students with each other in every metric and risk: differences, intervals, paired tests."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.config import arguments, cli
from fdistill.evaluation.comparisons import compare_task
from fdistill.evaluation.replicates import FILE_IN_HELP, beside

FILE = "[TASK/SYSTEM=]FILE"  # with task and system, the file must say the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for flag, name in (("--metrics", "metrics.json"), ("--risks", "risk.json")):
        text = f"{name} of each student and the teacher, with {FILE_IN_HELP} beside it"
        parser.add_argument(flag, nargs="+", type=arguments.placed, required=True, metavar=FILE, help=text)
    parser.add_argument("--students", nargs="+", required=True, help="the systems to compare, in the tables' order")
    parser.add_argument("--task", required=True, help="the task, which the files must say")
    parser.add_argument("--output", type=Path, required=True, help="the comparisons to write (JSON)")
    args = cli.parse(parser, "output", beside=dict.fromkeys(("metrics", "risks"), beside))

    result = compare_task(cli.checked(args.metrics), cli.checked(args.risks), args.students, args.task)
    write_json(args.output, result)
    for key, metric in result["metrics"].items():
        logging.info("%s: %s not worse than any other", key, ", ".join(metric["leaders"]) or "no system")
        for note in metric["notes"]:
            logging.warning("%s: %s", key, note)


if __name__ == "__main__":
    cli.run(main)
