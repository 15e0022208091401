"""Fine-tune a task's teacher on the references, from a pretrained checkpoint or from random weights."""

import argparse
from pathlib import Path

from fdistill.artifacts.files import sha256
from fdistill.artifacts.lineage import TEACHER_METHOD, check_splits, common_lineage
from fdistill.config import arguments, cli, schema_flags
from fdistill.config.model_checks import NOT_SHARDED
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.data.sources import UNLABELLED
from fdistill.losses.objectives import Objective
from fdistill.models.lora import add_lora
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.experiment import train_and_save
from fdistill.training.initial_model import add_model_flags, initial_model
from fdistill.training.micro_batches import TrainingData

GROUND_TRUTH_NLL = [{"sequences": "ground_truth", "loss": "nll"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_flags(parser)
    parser.add_argument(
        "--test",
        type=Path,
        help="test split, Parquet, only to refuse before training what would be refused when outputs are generated "
        "(default: not checked)",
    )
    parser.add_argument("--unlabelled", type=Path, help="unlabelled inputs, Parquet, likewise (default: not checked)")
    cli.add_training_flags(parser)
    parser.add_argument(
        "--lora",
        type=arguments.lora,
        metavar="JSON",
        help='train by LoRA, with these settings, as {"rank": 16}; the model written has them merged into its weights '
        "(default: all weights are trained)",
    )
    args = cli.parse(parser, "model", "history")
    splits = {"train": args.train, "dev": args.dev, "test": args.test, UNLABELLED: args.unlabelled}
    splits = {name: path for name, path in splits.items() if path is not None}
    check_splits(**splits)
    method = args.method or TEACHER_METHOD
    lineage = common_lineage(*splits.values(), seed=args.seed, task=args.task, method=method)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    limits = Limits(**schema_flags.read_flags(args, "text"))

    teacher = initial_model(args, limits, device, "model.teacher")
    train, _ = read_split(args.train, teacher, limits, args.max_examples)
    for name in ("test", UNLABELLED):
        if name in splits:
            read_split(splits[name], teacher, limits)
    manifest = {
        "stage": "finetune_teacher",
        "lineage": lineage,
        "init": args.init,
        **({"adapter": args.adapter} if args.adapter else {}),
        **({"lora": args.lora} if args.lora else {}),
        "inputs": {"train": sha256(args.train)},
    }
    objective, sampling = Objective.from_config(GROUND_TRUTH_NLL), SamplingConfig(limits.max_target_tokens)
    sharded = teacher if args.shard_teacher else None
    if sharded is not None and args.lora:
        raise UserError(f"--lora: a sharded model (--shard-teacher) {NOT_SHARDED}; leave one of the two out")
    lora = add_lora(teacher.model, args.lora, args.seed) if args.lora else None
    train_and_save(args, teacher, None, objective, TrainingData(train, {}), sampling, ranks, manifest, sharded, lora)


if __name__ == "__main__":
    cli.run(main)
