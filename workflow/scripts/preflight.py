"""Find in seconds what would stop a study later: data, teachers, metrics, GPU memory, disk, sinks of curves, SLURM."""

import argparse
import logging
import sys
from pathlib import Path

from fdistill import config
from fdistill.artifacts.files import read_json
from fdistill.config import arguments, cli
from fdistill.config.files import read_merged
from fdistill.preflight import Plan, preflight
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import redact

ROOT = Path(__file__).parents[2]
SETTINGS = "write it as a mapping of settings, as a configuration file has them, in JSON"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configfile",
        nargs="*",
        type=Path,
        default=[ROOT / "config" / "config.yaml"],
        metavar="FILE",
        help="the study: configuration files, merged in this order (default: %(default)s)",
    )
    parser.add_argument(
        "--section",
        nargs="*",
        default=[],
        metavar="KEY",
        help="the keys under which the study stands in its files, if they contain another workflow's settings too",
    )
    parser.add_argument(
        "--project",
        type=Path,
        metavar="FOLDER",
        help="folder whose config/tasks and config/methods.yaml replace this workflow's entries of the same name",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings to merge over the files, JSON (default: none)"
    )
    parser.add_argument(
        "--jobs", type=arguments.json_mapping, default={}, metavar="JSON", help="resources by rule, to request of SLURM"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of results (default: results)")
    args = parser.parse_args()
    changes = {} if args.config is None else read_json(args.config, otherwise=SETTINGS)
    merged = read_merged(args.configfile, changes, args.section)
    study = config.load(merged, args.configfile, ROOT, args.section, args.project)
    findings = preflight(Plan(study, args.results, args.jobs))
    for finding in sorted(findings, key=lambda finding: finding.problem):  # problems last, beside the prompt
        print(redact(str(finding)))
    problems = sum(finding.problem for finding in findings)
    if problems:
        raise UserError(f"preflight: {problems} of {len(findings)} checks found a problem; nothing was started")
    logging.info("preflight: %d checks, no problem", len(findings))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    cli.run(main)
