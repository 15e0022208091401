"""Write a trivial system's outputs for the test split: the most frequent training target, or a copy of the source."""

import argparse
from pathlib import Path

from fdistill.artifacts.files import read_parquet, write_parquet
from fdistill.artifacts.lineage import check_splits, common_lineage
from fdistill.config import cli
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.trivial import SYSTEMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", required=True, choices=SYSTEMS, help="which trivial system")
    parser.add_argument("--train", type=Path, required=True, help="training split, Parquet")
    parser.add_argument("--test", type=Path, required=True, help="test split, Parquet")
    parser.add_argument("--generations", type=Path, required=True, help="Parquet file to write")
    cli.add_place_flags(parser)
    args = cli.parse(parser, "generations")
    lineage = common_lineage(args.train, args.test, task=args.task, method=args.method)
    check_splits(train=args.train, test=args.test)
    train, _ = read_parquet(args.train, SPLIT)
    test, _ = read_parquet(args.test, SPLIT)
    hypotheses = SYSTEMS[args.system](train, test)
    columns = {
        "id": test["id"],
        "hypothesis": hypotheses,
        "n_tokens": [len(text.split()) for text in hypotheses],
        "finished": [True] * len(hypotheses),
    }
    write_parquet(args.generations, columns, GENERATIONS, {"lineage": lineage, "system": args.system})


if __name__ == "__main__":
    cli.run(main)
