"""The flags and outputs that the benchmark's scripts have in common."""

import argparse
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import write_json
from fdistill.config import arguments, cli
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.evaluation.tables.table import Table


def add_flags(parser: argparse.ArgumentParser, repeats: int) -> None:
    """Add `--repeats`, with `repeats` as its default, `--json`, `--table`, and the run's flags."""
    parser.add_argument(
        "--repeats", type=arguments.count, default=repeats, help=f"measured runs of each variant (default: {repeats})"
    )
    parser.add_argument("--json", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--table", type=Path, required=True, help="Markdown file to write")
    cli.add_run_flags(parser)


def write(args: argparse.Namespace, measured: dict[str, Any], *tables: Table) -> None:
    """Write `measured` and `tables` to the files that the flags name."""
    write_json(args.json, measured)
    write_text(args.table, "\n".join(map(to_markdown, tables)))
