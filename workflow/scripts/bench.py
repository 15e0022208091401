"""Measure a task's distillation step beside the plain recipe: its shapes and lengths, random weights and texts."""

import argparse
import platform
from pathlib import Path
from types import SimpleNamespace

import torch
from fdistill import cli
from fdistill.bench import report, steps
from fdistill.data.batches import Limits
from fdistill.errors import UserError
from fdistill.evaluation.tables.render import to_markdown
from fdistill.experiment import set_up, versions
from fdistill.files import write_json, write_text
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.families import family_of
from fdistill.models.language_model import model_class, wrap
from fdistill.models.students import init_student
from fdistill.preflight.architectures import configuration
from fdistill.training import TrainingSettings

SHARPNESS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=cli.json_mapping, required=True, metavar="JSON", help="a task's section `model`"
    )
    parser.add_argument(
        "--methods", type=cli.json_mapping, required=True, metavar="JSON", help='terms by method: {"js": [...]}'
    )
    parser.add_argument("--repeats", type=int, default=5, help="steps of each that are measured (default: 5)")
    parser.add_argument("--json", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--table", type=Path, required=True, help="Markdown file to write")
    cli.add_run_flags(parser)
    for section in ("text", "training"):
        cli.add_flags(parser, section)
    args = parser.parse_args()
    device = set_up(args.device, args.threads)
    limits, settings = Limits(**cli.read_flags(args, "text")), TrainingSettings(**cli.read_flags(args, "training"))
    unknown = set(args.methods) - {"js", "tvd"}
    if unknown:
        raise UserError(f"--methods: the plain recipe knows js and tvd, not {', '.join(sorted(unknown))}")
    measured = []
    for method, terms in args.methods.items():
        config, *_ = configuration(args.model)
        torch.manual_seed(args.seed)
        teacher = Checkpoint(wrap(model_class(family_of(config.model_type))(config)), SimpleNamespace())
        with torch.no_grad():  # or all distributions would be nearly uniform, and losses nearly 0
            teacher.model.module.get_output_embeddings().weight.mul_(SHARPNESS)
        student = init_student(teacher, args.model["student"])
        for made in (teacher, student):
            made.model.module.to(device)
        lengths = (limits.max_source_tokens, limits.max_target_tokens)
        found = steps.compare(teacher, student, terms, method, settings, *lengths, args.repeats, args.seed)
        measured.append({"method": method, **found})
    machine = torch.cuda.get_device_name() if device == "cuda" else f"{platform.processor() or platform.machine()} CPU"
    size = f"batch {settings.batch_size}, source {lengths[0]}, target {lengths[1]}, {args.threads} threads, {machine}"
    write_json(args.json, {"steps": measured, "size": size, "versions": versions()})
    write_text(args.table, to_markdown(report.table(measured, size)))


if __name__ == "__main__":
    cli.run(main)
