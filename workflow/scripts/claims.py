"""Decide which claims of papers hold in a study, from the comparisons of its students."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import note_input, write_json
from fdistill.artifacts.lineage import check_place
from fdistill.config import arguments, cli
from fdistill.config.claim_checks import read_claims
from fdistill.config.files import Report
from fdistill.evaluation import tables
from fdistill.evaluation.claims import decide_claims
from fdistill.evaluation.tables.claims import claims_markdown, claims_table
from fdistill.evaluation.tables.formats import visible
from fdistill.evaluation.texts import Texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--claims", nargs="+", type=Path, required=True, metavar="FILE", help="YAML files such as config/claims.yaml"
    )
    parser.add_argument(
        "--comparisons",
        nargs="+",
        type=arguments.file_pair,
        required=True,
        metavar="TASK=FILE",
        help="each task's comparisons of its students, from compare.py",
    )
    cli.add_texts_flag(parser)
    parser.add_argument("--json", type=Path, required=True, help="the verdicts to write, with every test (JSON)")
    parser.add_argument("--markdown", type=Path, required=True, help="the same to write, for reading (Markdown)")
    parser.add_argument(
        "--table", type=Path, required=True, help="the verdicts alone to write; the suffix names the format"
    )
    args = cli.parse(parser, "json", "markdown", "table")

    report = Report(Path())
    claims = read_claims(args.claims, report)
    report.raise_mistakes()
    for file in args.claims:
        note_input(file)
    for task, file in args.comparisons:
        check_place(file, task)
    texts = Texts.read(args.texts)
    decided = decide_claims(claims, [file for _, file in args.comparisons], texts)
    titles = texts.named_tasks([(task, "") for task, _ in args.comparisons])
    write_json(args.json, decided)
    write_text(args.markdown, visible(claims_markdown(decided, titles, texts.systems)))
    tables.write(claims_table(decided, titles), [args.table])
    for claim in decided["claims"]:
        logging.info("%s: %s. %s", claim["name"], claim["verdict"], claim["why"])


if __name__ == "__main__":
    cli.run(main)
