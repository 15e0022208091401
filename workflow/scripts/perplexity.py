"""Measure a model's perplexity on the references of the test split."""

import argparse
from pathlib import Path

from fdistill.artifacts.batch_store import store_for_script
from fdistill.artifacts.files import sha256, write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import model_identity, versions
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.evaluation.perplexity import perplexity
from fdistill.models import checkpoints, fsdp
from fdistill.models.tokenization import tokenizer_identity
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.engine_limits import TRANSFORMERS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, a student or the teacher")
    parser.add_argument("--test", type=Path, required=True, help="test split, Parquet")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    cli.add_offline_flags(parser)
    cli.add_shard_flag(parser)
    schema_flags.add_flags(parser, "text")
    schema_flags.add_flags(parser, "risk", keys=("batch_size",))
    cli.add_place_flags(parser, required=True)
    args = cli.parse(parser, "output")
    lineage = common_lineage(args.model, args.test, task=args.task, method=args.method)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    model = checkpoints.load(args.model, device)
    if args.shard_teacher:
        fsdp.shard(model.model, ranks)
    test, _ = read_split(args.test, model, Limits(**schema_flags.read_flags(args, "text")))
    identity = {"lineage": lineage, "model": model_identity(args.model), "split": sha256(args.test)}
    store = store_for_script(args, identity | {"versions": versions()}, ranks, args.shard_teacher)
    batch_size = offline_batch_size(
        args.batch_size, [model.model], TRANSFORMERS, 1, args.max_target_tokens, args.gpu_memory
    )
    measured = perplexity(model.model, test, batch_size, store)
    if ranks.is_main:
        place = {"task": args.task, "method": args.method, "tokenizer": tokenizer_identity(model.tokenizer)}
        write_json(args.output, place | measured | {"lineage": lineage})
    store.remove()


if __name__ == "__main__":
    cli.run(main)
