"""Say at once, in seconds, what would stop a study later: data, teachers, metrics, GPU memory, disk, SLURM."""

import argparse
import json
import logging
import sys
from pathlib import Path

import yaml
from fdistill import config
from fdistill.config import cli
from fdistill.config.files import at, merge
from fdistill.preflight import Plan, preflight
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import redact

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configfile",
        nargs="*",
        type=Path,
        default=[ROOT / "config" / "config.yaml"],
        metavar="FILE",
        help="the study: files laid over each other in this order (default: %(default)s)",
    )
    parser.add_argument(
        "--section",
        nargs="*",
        default=[],
        metavar="KEY",
        help="the keys under which the study stands in its files, if another workflow's settings are there too",
    )
    parser.add_argument(
        "--project",
        type=Path,
        metavar="FOLDER",
        help="whose config/tasks and config/methods.yaml come before this workflow's own",
    )
    parser.add_argument(
        "--config", type=json.loads, default={}, metavar="JSON", help="settings laid over the files, as JSON"
    )
    parser.add_argument(
        "--jobs", type=json.loads, default={}, metavar="JSON", help="resources by rule, to ask SLURM for; as JSON"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="where results go (default: results)")
    args = parser.parse_args()
    merged = {}
    for content in (*(at(_read(file), args.section, {}) for file in args.configfile), args.config):
        merged = merge(merged, content)
    study = config.load(merged, args.configfile, ROOT, args.section, args.project)
    found = preflight(Plan(study, args.results, args.jobs))
    for finding in sorted(found, key=lambda finding: finding.problem):  # problems last, where the eye is
        print(redact(f"{'PROBLEM' if finding.problem else 'ok':8}{finding.where}: {finding.text}"))
    problems = sum(finding.problem for finding in found)
    if problems:
        raise UserError(f"preflight: {problems} of {len(found)} checks found a problem; nothing was started")
    logging.info("preflight: %d checks, no problem", len(found))


def _read(file: Path) -> dict:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError):
        return {}  # said by `config.load`, which reads it again


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    cli.run(main)
