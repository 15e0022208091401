"""Fine-tune a task's teacher on the ground truth, from a pretrained checkpoint or from scratch."""

import argparse
import json
import logging

from fdistill.artifacts.files import read_parquet, sha256
from fdistill.artifacts.lineage import common
from fdistill.config import cli
from fdistill.data.encoding import Limits, read_split
from fdistill.data.schemas import SPLIT
from fdistill.losses.objectives import Objective
from fdistill.models import checkpoints
from fdistill.models.families import FAMILIES
from fdistill.models.tokenization import train_tokenizer
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.experiment import train_and_save
from fdistill.training.micro_batches import TrainingData

log = logging.getLogger(__name__)

GROUND_TRUTH_NLL = [{"sequences": "ground_truth", "loss": "nll"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", required=True, choices=FAMILIES, help="model family")
    parser.add_argument("--init", required=True, help="`scratch`, or folder or hub id of a pretrained checkpoint")
    parser.add_argument(
        "--vocab-size", type=int, default=2000, help="size of the tokenizer trained with --init scratch"
    )
    parser.add_argument(
        "--model-config",
        type=json.loads,
        default={},
        metavar="JSON",
        help="keyword arguments of the family's transformers configuration, with --init scratch",
    )
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-language", metavar="CODE", help=f"code of the {side}s' language, with an mBART checkpoint"
        )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="read a checkpoint that has no model.safetensors from its .bin file"
    )
    cli.add_training_flags(parser)
    args = parser.parse_args()
    lineage = common(args.train, args.dev, seed=args.seed)
    device = set_up(args.device, args.threads)
    ranks = distributed.join(device)
    limits = Limits(**cli.read_flags(args, "text"))

    if args.init == "scratch":
        family = FAMILIES[args.family]
        texts, _ = read_parquet(args.train, SPLIT)
        lines = [limits.source_prefix + text for text in texts["source"]] + [r[0] for r in texts["references"]]
        tokenizer = train_tokenizer(lines, args.vocab_size, family)
        teacher = checkpoints.from_scratch(family, args.model_config, tokenizer, args.seed)
        teacher.model.module.to(device)
    else:
        teacher = checkpoints.load(args.init, device, args.source_language, args.target_language, args.allow_pickle)
        found = teacher.model.module.config.model_type
        if found != args.family:
            raise UserError(f"model.family: {args.init} is a {found} model, not {args.family}; name its family")
        prefixes = teacher.source_prefixes
        if prefixes and limits.source_prefix not in prefixes:
            known = ", ".join(map(repr, prefixes))
            log.warning(
                "text.source_prefix is %r, none of those that %s learnt its tasks with: %s",
                limits.source_prefix,
                args.init,
                known,
            )

    train, _ = read_split(args.train, teacher, limits, args.max_examples)
    manifest = {
        "stage": "finetune_teacher",
        "lineage": lineage,
        "init": args.init,
        "inputs": {"train": sha256(args.train)},
    }
    objective, sampling = Objective.from_config(GROUND_TRUTH_NLL), SamplingConfig(limits.max_target_tokens)
    train_and_save(args, teacher, None, objective, TrainingData(train, {}), sampling, ranks, manifest)


if __name__ == "__main__":
    cli.run(main)
