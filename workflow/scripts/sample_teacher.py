"""Sample sequences from the teacher offline for every input of a split, and write them as token ids."""

import argparse
from pathlib import Path

from fdistill.artifacts.batch_store import store_for_script
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import versions
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.encoding import Limits, read_split
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import write_samples
from fdistill.losses.objectives import TEACHER_SEQUENCES
from fdistill.models import checkpoints, fsdp
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.engines import version_of
from fdistill.sampling.offline import sample_sequences
from fdistill.sampling.sampler import SamplingConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="split whose inputs are sampled for, Parquet")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--samples", type=Path, required=True, help="Parquet file to write")
    parser.add_argument(
        "--max-examples", type=arguments.count, help="inputs, spread evenly over the split (default: all)"
    )
    cli.add_offline_flags(parser)
    for section in ("text", "offline_sampling"):
        schema_flags.add_flags(parser, section)
    parser.add_argument("--kind", choices=TEACHER_SEQUENCES, help="what the sequences are to methods (default: any)")
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "samples")
    lineage = common_lineage(args.split, teacher=args.teacher, task=args.task)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    teacher = checkpoints.load(args.teacher, device)
    if args.shard_teacher:
        fsdp.shard(teacher.model, ranks)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    encoded, _ = read_split(args.split, teacher, limits, args.max_examples)

    settings = schema_flags.read_flags(args, "offline_sampling")
    per_input, batch_size, engine = (settings.pop(key) for key in ("per_input", "batch_size", "engine"))
    sampling = SamplingConfig.from_settings(settings, limits.max_target_tokens)
    beams = sampling.options.get("num_beams", 1)
    identity = {
        "lineage": lineage,
        **sample_identity(args.teacher, teacher.tokenizer, args.split),
        **({"kind": args.kind} if args.kind else {}),
        "mode": sampling.mode,
        "options": str(sampling.options),
        "max_new_tokens": str(sampling.max_new_tokens),
        "seed": str(args.seed),
        "engine": engine,
    }
    store = store_for_script(args, identity | {"versions": versions() | version_of(engine)}, ranks, args.shard_teacher)
    columns = sample_sequences(
        teacher.model,
        encoded.ids,
        encoded.sources,
        sampling,
        per_input,
        offline_batch_size(batch_size, [teacher.model], engine, beams, sampling.max_new_tokens, args.gpu_memory),
        args.seed,
        store,
        engine,
    )
    if ranks.is_main:
        write_samples(args.samples, columns, identity)
        store.remove()


if __name__ == "__main__":
    cli.run(main)
