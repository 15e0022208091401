"""Write the report: one page with the answer, the results that it rests on, and where each number comes from."""

import argparse
import shlex
from pathlib import Path

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import read_json
from fdistill.config import arguments, cli, placed_files, schema_flags, table_flags
from fdistill.config.placed_files import OF_BOTH, OF_TASK
from fdistill.evaluation.report import COMMAND, FIGURES, Files, Study, report_page
from fdistill.evaluation.texts import Texts
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import nearest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = placed_files.add_files_flag
    add(parser, "--metrics", OF_BOTH, "metrics.json files")
    add(parser, "--risks", OF_BOTH, "risk.json files, of the teacher and the students")
    table_flags.add_comparisons_flag(parser)
    add(parser, "--manifests", OF_TASK, "manifest.json files of the data")
    add(parser, "--tests", OF_TASK, "test splits")
    add(parser, "--generations", OF_BOTH, "outputs on them, of a seed")
    add(parser, "--logs", OF_BOTH, "the students' train.jsonl, one per seed; the records beside them have the cost")
    text = "deployment.json files: what each model costs in use (default: not shown)"
    add(parser, "--deployments", OF_BOTH, text, required=False)
    parser.add_argument(
        "--figures", nargs="+", type=arguments.file_pair, required=True, metavar="TASK/KIND=FILE",
        help=f"figures to show, from figures.py (kinds: {', '.join(FIGURES)})",
    )  # fmt: skip
    parser.add_argument("--claims", type=Path, required=True, metavar="FILE", help="claims.json, from claims.py")
    parser.add_argument("--count", type=arguments.count, default=2, help="examples per task (default: %(default)s)")
    parser.add_argument(
        "--options", type=Path, metavar="FILE",
        help='JSON file with the options of the study, {"options": [TEXT, ...]}, for the commands that the page names '
        f"(default: those of {COMMAND})",
    )  # fmt: skip
    table_flags.add_row_flags(parser)
    table_flags.add_stages_flag(parser)
    table_flags.add_task_flags(parser)
    schema_flags.add_flags(parser, "tables")
    cli.add_texts_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the page to write (HTML)")
    args = cli.parse(parser, "output")
    args.texts = Texts.read(args.texts)
    args.tasks = args.texts.named_tasks(args.tasks)
    write_text(args.output, report_page(_files(args), _study(args)))


def _files(args: argparse.Namespace) -> Files:
    return Files(
        metrics=placed_files.by_place(args.metrics),
        risks=placed_files.by_place(args.risks),
        comparisons=placed_files.by_task(args.comparisons),
        manifests=placed_files.by_task(args.manifests),
        tests=placed_files.by_task(args.tests, split="test"),
        generations=placed_files.by_place(args.generations),
        logs=args.logs,
        figures=_figures(args),
        claims=args.claims,
        deployments=placed_files.by_place(args.deployments),
    )


def _figures(args: argparse.Namespace) -> dict[tuple[str, str], Path]:
    """The figures by task and kind."""
    figures = {}
    for place, file in args.figures:
        task, _, kind = place.partition("/")
        if kind not in FIGURES:
            raise UserError(f"--figures: {place}: unknown kind '{kind}'; {nearest(kind, FIGURES)}")
        figures[task, kind] = file
    return figures


def _study(args: argparse.Namespace) -> Study:
    stands_for, descriptions = table_flags.data_texts(args)
    options = read_json(args.options, {"options": [str]})["options"] if args.options else None
    papers = {"main": "fdistill_table2", "risk": "fdistill_table3", "datasets": "fdistill_table6"}
    return Study(
        tasks=args.tasks,
        layout=table_flags.layout(args),
        stands_for=stands_for,
        descriptions=descriptions,
        examples=args.count,
        stages=args.stages,
        paper={table: table_flags.paper(args, name) for table, name in papers.items()},
        command=COMMAND if options is None else shlex.join(["snakemake", *options, "--"]),
    )


if __name__ == "__main__":
    cli.run(main)
