"""Make the student of a teacher from outside: a whole checkpoint, or random weights with a tokenizer of its own."""

import argparse
from pathlib import Path

from fdistill.artifacts.files import sha256
from fdistill.artifacts.lineage import check_splits, common_lineage
from fdistill.config import cli, schema_flags
from fdistill.config.method_starts import INIT_STUDENT
from fdistill.data.encoding import Limits, read_split
from fdistill.models import checkpoints
from fdistill.runtime.device import set_up_device
from fdistill.training.initial_model import add_model_flags, initial_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_flags(parser)
    for name in ("train", "dev", "test"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"{name} split, Parquet")
    parser.add_argument("--model", type=Path, required=True, help="folder to write: the student")
    cli.add_run_flags(parser)
    schema_flags.add_flags(parser, "text")
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "model")
    splits = {name: getattr(args, name) for name in ("train", "dev", "test")}
    check_splits(**splits)
    lineage = common_lineage(*splits.values(), task=args.task, method=INIT_STUDENT)
    device = set_up_device(args.device, args.threads)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    student = initial_model(args, limits, device, "model.student")
    for split in splits.values():  # what training or evaluation would refuse is refused here
        read_split(split, student, limits)
    manifest = {
        "stage": INIT_STUDENT,
        "lineage": lineage,
        "init": args.init,
        "inputs": {"train": sha256(args.train)},
    }
    checkpoints.save(student, args.model, manifest)


if __name__ == "__main__":
    cli.run(main)
