"""Decide which claims of papers hold in a study, from the comparisons of its students and what else it has measured."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import note_input, write_json
from fdistill.config import arguments, cli, table_flags
from fdistill.config.claim_checks import read_claims
from fdistill.config.files import Report
from fdistill.config.placed_files import OF_BOTH, OF_TASK, add_files_flag, by_place, by_task, paths
from fdistill.evaluation import tables
from fdistill.evaluation.claims import decide_claims
from fdistill.evaluation.claims.study import LAYERS, ONLINE, TEACHER
from fdistill.evaluation.replicates import FILE_IN_HELP, beside
from fdistill.evaluation.tables.claims import claims_markdown
from fdistill.evaluation.tables.formats import visible
from fdistill.evaluation.texts import Texts

MEASURED = {
    ONLINE: "times of steps, from bench_online.py",
    LAYERS: "times of layers, from bench_layers.py",
    TEACHER: "risk.json of its teacher, with TeacherDist",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--claims", nargs="+", type=Path, required=True, metavar="FILE", help="YAML files such as config/claims.yaml"
    )
    table_flags.add_comparisons_flag(parser)
    for kind, made in MEASURED.items():
        add_files_flag(parser, f"--{kind}", OF_TASK, f"each task's {made}, for claims that need it", required=False)
    text = f"metrics.json of the students whose tasks claims compare, with {FILE_IN_HELP} beside it"
    add_files_flag(parser, "--metrics", OF_BOTH, text, required=False)
    parser.add_argument(
        "--unusable",
        nargs="*",
        type=arguments.pair,
        default=[],
        metavar="TASK=METHOD",
        help="methods that a task's teacher from outside does not allow, which no study of the task can add",
    )
    cli.add_texts_flag(parser)
    parser.add_argument("--json", type=Path, required=True, help="the verdicts to write, with every test (JSON)")
    parser.add_argument("--markdown", type=Path, required=True, help="the same to write, for reading (Markdown)")
    parser.add_argument(
        "--table", nargs="+", type=Path, required=True, help="the verdicts alone to write; suffixes name the formats"
    )
    args = cli.parse(parser, "json", "markdown", "table", beside={"metrics": beside})

    report = Report(Path())
    claims = read_claims(args.claims, report)
    report.raise_mistakes()
    for file in args.claims:
        note_input(file)
    measured = {kind: by_task(getattr(args, kind)) for kind in MEASURED}
    texts = Texts.read(args.texts)
    decided = decide_claims(claims, paths(args.comparisons), texts, measured, by_place(args.metrics), args.unusable)
    titles = texts.named_tasks([(file.task, "") for file in args.comparisons])
    write_json(args.json, decided)
    write_text(args.markdown, visible(claims_markdown(decided, titles, texts.systems)))
    tables.write(tables.claims_table(decided, titles), args.table)
    for claim in decided["claims"]:
        logging.info("%s: %s. %s", claim["name"], claim["verdict"], claim["why"])


if __name__ == "__main__":
    cli.run(main)
