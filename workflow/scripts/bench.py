"""Measure a task's distillation step beside its opponents: the task's shapes and lengths, random weights and texts."""

import argparse
from dataclasses import replace
from pathlib import Path

from fdistill import cli
from fdistill.bench import report, steps
from fdistill.bench.machine import machine
from fdistill.bench.work import LENGTHS, Work
from fdistill.data.batches import Limits
from fdistill.evaluation.tables.render import to_markdown
from fdistill.experiment import set_up
from fdistill.files import write_json, write_text
from fdistill.models.families import FAMILIES
from fdistill.training import TrainingSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=cli.json_mapping, required=True, metavar="JSON", help="a task's section `model`"
    )
    parser.add_argument(
        "--methods", type=cli.json_mapping, required=True, metavar="JSON",
        help='terms by method, {"js": [...], "tvd": [...]}; for decoder-only models, what TRL learns is added',
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=5, help="steps of each that are measured (default: 5)")
    parser.add_argument("--json", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--table", type=Path, required=True, help="Markdown file to write")
    cli.add_run_flags(parser)
    for section in ("text", "training"):
        cli.add_flags(parser, section)
    args = parser.parse_args()
    device = set_up(args.device, args.threads)
    limits = Limits(**cli.read_flags(args, "text"))
    settings = replace(TrainingSettings(**cli.read_flags(args, "training")), accumulation=1)
    steps.check_methods(args.methods)
    has_encoder = FAMILIES[args.model["family"]].is_encoder_decoder
    methods = args.methods if has_encoder else steps.with_on_policy(args.methods)
    measured = []
    for lengths in LENGTHS:
        for method, terms in methods.items():
            work = Work.of(args.model, limits, settings.batch_size, lengths, args.seed, device)
            found = steps.compare(work, method, terms, settings, args.repeats, args.seed)
            measured.append({"lengths": lengths, "method": method, **found})
    where = machine(device, args.threads)
    sizes = {
        "batch": settings.batch_size,
        "source": limits.max_source_tokens,
        "target": limits.max_target_tokens,
        "repeats": args.repeats,
    }
    said = ", ".join(f"{name} {size}" for name, size in sizes.items())
    write_json(args.json, {"measured": measured, "sizes": sizes, "machine": where})
    write_text(args.table, to_markdown(report.step_table(measured, said, where)))


if __name__ == "__main__":
    cli.run(main)
