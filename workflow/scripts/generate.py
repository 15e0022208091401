"""Generate a model's outputs for the test split."""

import argparse
from pathlib import Path

from fdistill.artifacts.batch_store import store_for_script
from fdistill.artifacts.files import sha256, write_parquet
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import model_identity, versions
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import Limits, read_split
from fdistill.data.schemas import GENERATIONS
from fdistill.models import checkpoints, fsdp
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.engines import version_of
from fdistill.sampling.offline import generate_texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--test", type=Path, required=True, help="test split, Parquet")
    parser.add_argument("--generations", type=Path, required=True, help="Parquet file to write")
    cli.add_offline_flags(parser)
    for section in ("text", "decoding"):
        schema_flags.add_flags(parser, section)
    cli.add_place_flags(parser)
    args = cli.parse(parser, "generations")
    lineage = common_lineage(args.model, args.test, seed=args.seed, task=args.task, method=args.method)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    checkpoint = checkpoints.load(args.model, device)
    if args.shard_teacher:
        fsdp.shard(checkpoint.model, ranks)
    encoded, _ = read_split(args.test, checkpoint, Limits(**schema_flags.read_flags(args, "text")))
    decoding = schema_flags.read_flags(args, "decoding")
    batch_size, engine = decoding.pop("batch_size"), decoding.pop("engine")
    beams, longest = decoding["num_beams"], decoding["max_new_tokens"]
    identity = {
        "lineage": lineage,
        "model": model_identity(args.model),
        "split": sha256(args.test),
        "decoding": str(decoding),
        "engine": engine,
    }
    store = store_for_script(args, identity | {"versions": versions() | version_of(engine)}, ranks)
    columns = generate_texts(
        checkpoint.model,
        checkpoint.tokenizer,
        encoded.sources,
        decoding,
        offline_batch_size(batch_size, [checkpoint.model], engine, beams, longest, args.gpu_memory),
        args.seed,
        store,
        engine,
    )
    if ranks.is_main:
        write_parquet(args.generations, {"id": encoded.ids, **columns}, GENERATIONS, identity)
        store.remove()


if __name__ == "__main__":
    cli.run(main)
