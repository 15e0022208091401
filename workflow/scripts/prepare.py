"""Prepare a task's data: download the pinned source files, filter, split, and write Parquet with a manifest.

What no file is given for is not written.
"""

import argparse
from pathlib import Path

from fdistill.config import arguments, cli
from fdistill.data.preparation import FILES, prepare
from fdistill.data.sources import SOURCES, SPLITS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", required=True, choices=SOURCES, help="kind of source")
    parser.add_argument(
        "--options", type=arguments.json_mapping, default={}, metavar="JSON", help="options of the source"
    )
    cli.add_cache_flag(parser)
    for split in FILES:
        parser.add_argument(f"--{split}", type=Path, help=f"Parquet file to write: {split} split")
    parser.add_argument("--manifest", type=Path, help="JSON file to write: origin, counts, hashes, leakage")
    parser.add_argument(
        "--labelled",
        type=Path,
        nargs=len(SPLITS),
        default=[],
        metavar=tuple(map(str.upper, SPLITS)),
        help="Parquet files of the splits that were written before, for the manifest of --unlabelled alone",
    )
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, *FILES, "manifest")
    outputs = {split: file for split in FILES if (file := getattr(args, split)) is not None}
    written = dict(zip(SPLITS, args.labelled, strict=False))
    prepare(args.kind, args.options, args.cache.expanduser(), outputs, args.manifest, args.task, written)


if __name__ == "__main__":
    cli.run(main)
