"""Fit inference time as a linear function of encoder and decoder layers, in a task's shapes with random weights."""

import argparse
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.bench import layers
from fdistill.bench.machine import machine
from fdistill.bench.workload import FULL, random_texts
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.limits import Limits
from fdistill.runtime.device import set_up_device
from fdistill.runtime.precision import autocast, compute_type


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=arguments.model, required=True, metavar="JSON", help="a task's section `model`")
    parser.add_argument("--models", type=arguments.count, default=24, help="random models, the full one included (24)")
    parser.add_argument("--batch", type=arguments.count, default=32, help="inputs of a batch (default: 32, as S&R)")
    parser.add_argument("--repeats", type=arguments.count, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--json", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--task", required=True, help="the task's key, recorded in the output")
    cli.add_run_flags(parser)
    schema_flags.add_flags(parser, "text")
    schema_flags.add_flags(parser, "training", keys=("precision",))
    args = cli.parse(parser, "json")
    device = set_up_device(args.device, args.threads)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    model, depths = layers.random_models(args.model, args.models, args.seed, device)
    texts = random_texts(model, limits, args.batch, FULL, args.seed).train
    precision = autocast(args.precision, device)
    measured = layers.times(model, depths, texts.sources, texts.targets, args.repeats, precision)
    content = {
        "task": args.task,
        "lineage": common_lineage(task=args.task),
        "family": args.model["family"],
        "fits": {way: layers.fit(measured, way) for way in layers.WAYS},
        "batch": args.batch,
        "source_tokens": limits.max_source_tokens,
        "target_tokens": limits.max_target_tokens,
        "repeats": args.repeats,
        "precision": str(compute_type(args.precision, device)).removeprefix("torch."),
        "models": measured,
        "machine": machine(device, args.threads),
    }
    write_json(args.json, content)


if __name__ == "__main__":
    cli.run(main)
