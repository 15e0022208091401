"""Measure a distillation step and those of baselines, in a task's shapes and lengths, with random weights and texts."""

import argparse
from dataclasses import replace

from fdistill.bench import command, encoders, report, steps
from fdistill.bench.machine import machine
from fdistill.bench.workload import LENGTHS, Workload
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.limits import Limits
from fdistill.models.families import FAMILIES
from fdistill.runtime.device import set_up_device
from fdistill.sampling.teacher_cache import TOP_K
from fdistill.training.settings import TrainingSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=arguments.model, required=True, metavar="JSON", help="a task's section `model`")
    parser.add_argument(
        "--methods", type=arguments.terms_by_method, required=True, metavar="JSON",
        help='terms by method, {"js": [...], "tvd": [...]}; for decoder-only models, the method of TRL is added',
    )  # fmt: skip
    parser.add_argument(
        "--top-k",
        type=arguments.count,
        default=TOP_K,
        help=f"tokens that teacher_cache: topk stores (default: {TOP_K})",
    )
    command.add_flags(parser, repeats=5)
    for section in ("text", "training"):
        schema_flags.add_flags(parser, section)
    args = cli.parse(parser, "json", "table")
    device = set_up_device(args.device, args.threads)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    settings = replace(TrainingSettings(**schema_flags.read_flags(args, "training")), accumulation=1)
    steps.check_methods(args.methods)
    has_encoder = FAMILIES[args.model["family"]].is_encoder_decoder
    methods = args.methods if has_encoder else steps.with_on_policy(args.methods)
    measured = []
    for lengths in LENGTHS:
        for method, terms in methods.items():
            workload = Workload.random(args.model, limits, settings.batch_size, lengths, args.seed, device)
            compared = steps.compare(workload, method, terms, settings, args.repeats, args.seed, args.top_k)
            measured.append({"lengths": lengths, "method": method, **compared})
        if has_encoder:
            given = (args.model, limits, settings, lengths, args.repeats, args.seed, device)
            measured.append({"lengths": lengths, "method": encoders.KD, **encoders.compare(*given)})
    where = machine(device, args.threads)
    sizes = {
        "batch": settings.batch_size,
        "source": limits.max_source_tokens,
        "target": limits.max_target_tokens,
        "top-k": args.top_k,
        "repeats": args.repeats,
    }
    description = ", ".join(f"{name} {size}" for name, size in sizes.items())
    content = {"measured": measured, "sizes": sizes, "machine": where}
    command.write(args, content, report.step_table(measured, description, where))


if __name__ == "__main__":
    cli.run(main)
