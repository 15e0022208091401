"""Make a student that copies no layers of its teacher: from a whole checkpoint, or with random weights."""

import argparse
from pathlib import Path

from fdistill.artifacts.contributions import CONTRIBUTIONS, WEIGHTS, contribution
from fdistill.artifacts.files import sha256
from fdistill.artifacts.lineage import check_splits, common_lineage
from fdistill.artifacts.manifest import model_identity
from fdistill.artifacts.systems import INIT_STUDENT
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.models import checkpoints
from fdistill.models.location import SCRATCH, short_name
from fdistill.models.outlines import describe
from fdistill.runtime.device import set_up_device
from fdistill.training.initial_model import add_model_flags, initial_model
from fdistill.training.state import weights_identity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_flags(parser)
    for name in ("train", "dev", "test"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"{name} split, Parquet")
    parser.add_argument(
        "--teacher",
        type=Path,
        help="folder of the teacher whose tokenizer the student gets (default: none, it has a tokenizer of its own)",
    )
    parser.add_argument("--model", type=Path, required=True, help="folder to write: the student")
    cli.add_run_flags(parser)
    schema_flags.add_flags(parser, "text")
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "model")
    splits = {name: getattr(args, name) for name in ("train", "dev", "test")}
    check_splits(**splits)
    lineage = common_lineage(*splits.values(), teacher=args.teacher, task=args.task, method=INIT_STUDENT)
    device = set_up_device(args.device, args.threads)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    teacher = None if args.teacher is None else describe(args.teacher)
    student = initial_model(args, limits, device, "model.student", teacher)
    for split in splits.values():  # what training or evaluation would refuse is refused here
        read_split(split, student, limits)
    manifest = {
        "stage": INIT_STUDENT,
        "lineage": lineage,
        "init": args.init,
        "inputs": {"train": sha256(args.train)},
        **({} if args.teacher is None else {"teacher": model_identity(args.teacher)}),
    }
    entries = []
    if args.init != SCRATCH:
        entries.append(contribution(WEIGHTS, short_name(args.init), weights_identity(student.model.module)))
    checkpoints.save(student, args.model, manifest | {CONTRIBUTIONS: entries})


if __name__ == "__main__":
    cli.run(main)
