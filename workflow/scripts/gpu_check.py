"""Check in minutes that training and decoding run on this machine's GPU, and compute there what the CPU computes.

Small models of several families, in float32 and bfloat16, go through a study from the teacher to the students' outputs
and risks. The table has what was measured, and why a check failed or has no meaning here. Exit status 1 if one failed.
Nothing but the checkout and its packages is needed, and no GPU to try it: --device cpu.
"""

import argparse
import logging
import tempfile
from dataclasses import asdict
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.artifacts.yaml_files import read_mapping
from fdistill.bench.gpu_check import running
from fdistill.bench.gpu_check.case import ARCHITECTURES, PRECISIONS, Case
from fdistill.bench.gpu_check.checks import CHECKS, with_needed
from fdistill.bench.gpu_check.outcome import FAILED, outcome_table
from fdistill.bench.machine import machine
from fdistill.config import METHODS, arguments, cli
from fdistill.config.method_table import complete
from fdistill.config.schema import STUDY, section
from fdistill.config.schema_flags import add_flag
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.runtime.device import set_up_device
from fdistill.runtime.errors import UserError

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=ARCHITECTURES, default=[*ARCHITECTURES], help="(default: all)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="(default: all)")
    parser.add_argument(
        "--only", nargs="+", choices=CHECKS, default=[*CHECKS], metavar="CHECK",
        help=f"checks, with those that they need: {', '.join(CHECKS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=arguments.count, default=10, help="time for all checks (default: 10)")
    parser.add_argument(
        "--output", type=Path, default=Path("results/gpu_check.json"), help="JSON file to write (default: %(default)s)"
    )
    add_flag(parser, "--device", section(STUDY)["properties"]["device"])
    parser.add_argument("--threads", type=arguments.count, default=1, help="CPU threads (default: 1)")
    args = cli.parse(parser, "output")
    device = set_up_device(args.device, args.threads)
    methods = {name: complete(method) for name, method in read_mapping(ROOT / METHODS, str(METHODS)).items()}
    with tempfile.TemporaryDirectory(prefix="gpu_check") as folder:
        cases = [
            Case(family, precision, device, args.threads, Path(folder) / f"{family}.{precision}", methods)
            for family in args.families
            for precision in args.precisions
        ]
        outcomes = running.run_all(cases, with_needed(args.only), args.minutes)
    where = machine(device, args.threads)
    write_json(args.output, {"checks": [asdict(outcome) for outcome in outcomes], "machine": where})
    print(to_markdown(outcome_table(outcomes, where)))
    failed = [f"{each.check}, {each.family} {each.precision}" for each in outcomes if each.status == FAILED]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(outcomes)} checks failed: {'; '.join(failed)}; {args.output} has their tracebacks"
        )
    logging.info("no check failed: %s", args.output)


if __name__ == "__main__":
    cli.run(main)
