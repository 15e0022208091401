"""Make a student from its teacher by copying layers."""

import argparse
from pathlib import Path

from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import model_identity
from fdistill.config import arguments, cli
from fdistill.models import checkpoints
from fdistill.models.students import init_student


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument(
        "--layers",
        type=arguments.layers,
        required=True,
        metavar="JSON",
        help='layers per stack: a number, or the teacher\'s layers to copy, as in {"encoder": 3, "decoder": [0]}',
    )
    parser.add_argument("--model", type=Path, required=True, help="folder to write: the student")
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "model")
    student = init_student(checkpoints.load(args.teacher), args.layers)
    manifest = {
        "stage": "init_student",
        "lineage": common_lineage(teacher=args.teacher, task=args.task, method="init_student"),
        "teacher": model_identity(args.teacher),
        "layers": args.layers,
    }
    checkpoints.save(student, args.model, manifest)


if __name__ == "__main__":
    cli.run(main)
