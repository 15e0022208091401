"""Fit students of one mode to teachers of two by several methods, and draw them: mode averaging and mode collapse."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.config import arguments, cli
from fdistill.evaluation.figures import mode_panels
from fdistill.evaluation.modes import experiment
from fdistill.evaluation.texts import Texts
from fdistill.runtime.device import set_up_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--methods", type=arguments.terms_by_method, required=True, metavar="JSON",
        help='terms by method, {"kl": [...], "rkl": [...]}, in the order of the figure',
    )  # fmt: skip
    cli.add_texts_flag(parser)
    parser.add_argument("--json", type=Path, required=True, help="the students and their risks, to write (JSON)")
    parser.add_argument("--figure", type=Path, required=True, help="the same as a figure, to write (SVG)")
    args = cli.parse(parser, "json", "figure")
    titles = Texts.read(args.texts).named_systems([(method, "") for method in args.methods])
    set_up_device("cpu", threads=1)  # tensors of a few thousand numbers: threads would only wait for each other
    result = experiment(args.methods)
    write_json(args.json, result)
    mode_panels(result, titles, args.figure)
    for fitted in result["teachers"]:
        for method, student in fitted["students"].items():
            logging.info("%s: mean %.2f, width %.2f", titles[method], student["mean"], student["width"])


if __name__ == "__main__":
    cli.run(main)
