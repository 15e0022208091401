"""Puts the report together from the files of a study's results."""

import base64
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fdistill.artifacts.files import note_input, read_json
from fdistill.artifacts.records import check
from fdistill.evaluation import tables
from fdistill.evaluation.aggregate import METRICS_FILE, main_metric
from fdistill.evaluation.comparisons import FULL_FILE, TEACHER
from fdistill.evaluation.costs import Cost, student_costs
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.report.claims import claims_table, read_claims, tests_table
from fdistill.evaluation.report.origins import origins
from fdistill.evaluation.report.standings import Standing, standings, untrained_teacher
from fdistill.evaluation.report.tables import cost_table, matrix, standings_table
from fdistill.evaluation.report.words import word_differences
from fdistill.evaluation.tables.examples import SEED, sample_examples, shorten
from fdistill.evaluation.tables.formats import visible
from fdistill.evaluation.tables.frame import RISK_TITLES, Section
from fdistill.evaluation.tables.page import render
from fdistill.evaluation.tables.table import Table

COMMAND = "snakemake --cores 1 --"


@dataclass(frozen=True)
class Files:
    """The results that the report shows, by task, by (task, system), or by (task, kind of figure)."""

    metrics: dict[tuple[str, str], Path]
    risks: dict[tuple[str, str], Path]
    comparisons: dict[str, Path]
    manifests: dict[str, Path]
    tests: dict[str, Path]
    generations: dict[tuple[str, str], Path]
    logs: list[tuple[str, str, Path]]  # task, student, train.jsonl of a seed
    figures: dict[tuple[str, str], Path]  # kinds: risk, curves, cost
    claims: Path | None = None


@dataclass(frozen=True)
class Study:
    """What the report calls tasks and systems, and what it shows of them; see `fdistill.evaluation.tables`."""

    tasks: dict[str, str]
    layout: list[Section]
    stands_for: dict[str, str]
    descriptions: dict[str, str]
    examples: int
    paper: dict[str, PublishedTable | None] = field(default_factory=dict)  # by table: main, risk, datasets
    command: str = COMMAND  # makes the file whose path is added to it


@dataclass(frozen=True)
class TaskResults:
    """What the report says of one task."""

    key: str
    title: str
    n_inputs: int
    seeds: int
    standings: dict[str, Standing]
    main: Standing | None
    summary: Table
    untrained: list[str]
    matrices: dict[str, list[Table]]
    costs: dict[str, Cost]
    cost_table: Table
    figures: dict[str, str]

    @property
    def collapsed(self) -> list[str]:
        """Return the students that have collapsed in some risk."""
        return list(dict.fromkeys(name for standing in self.standings.values() for name in standing.collapsed))

    @property
    def missing(self) -> list[tuple[str, Standing]]:
        """Return the students without a value, each with the metric that lacks it."""
        return [(name, standing) for standing in self.standings.values() for name in standing.missing]


def report_page(files: Files, study: Study) -> str:
    """Return the page, which is complete in itself. Raises UserError for files that do not belong together.

    The same files and settings give the same text.
    """
    metrics, risks, comparisons = list(files.metrics.values()), list(files.risks.values()), files.comparisons
    compared = (list(comparisons.values()), study.tasks, study.layout)
    frame = tables.results_frame(metrics, risks, *compared)
    systems = {key: title for section in study.layout for key, title in section.systems.items()}
    claims = read_claims(files.claims) if files.claims else None
    page = render(
        "report",
        study=study,
        systems=systems,
        students={key: title for section in study.layout if section.ranked for key, title in section.systems.items()},
        tasks=[_task(task, files, study, frame, systems) for task in study.tasks],
        main=tables.main_table(metrics, *compared, study.paper.get("main")),
        risk=tables.risk_table(risks, *compared[:2], _with_risks(files, study), study.paper.get("risk")),
        datasets=tables.datasets_table(
            files.manifests, study.tasks, study.stands_for, study.descriptions, study.paper.get("datasets")
        ),
        claims=claims,
        verdicts=claims and claims_table(claims, study.tasks),
        tests=claims and [tests_table(claim, study.tasks, systems) for claim in claims],
        examples=_examples(files, study, systems),
        origins=origins(_parts(files), study.command),
    )
    return visible(page)


def _with_risks(files: Files, study: Study) -> list[Section]:
    """The rows of systems that have risks: the trivial ones have no distribution."""
    measured = {system for _, system in files.risks}
    rows = [
        replace(section, systems={key: title for key, title in section.systems.items() if key in measured})
        for section in study.layout
    ]
    return [section for section in rows if section.systems]


def _task(task: str, files: Files, study: Study, frame: pd.DataFrame, systems: dict[str, str]) -> TaskResults:
    compared = read_json(files.comparisons[task], FULL_FILE)
    trivial = [name for section in study.layout for name in section.systems if not section.ranked and name != TEACHER]
    titles = {name: systems[name] for name in (*compared["students"], TEACHER) if name in systems}
    found = standings(compared, frame)
    key = main_metric([read_json(path, METRICS_FILE) for (of, _), path in files.metrics.items() if of == task])
    main = found.get(key)
    costs = student_costs([(system, path) for of, system, path in files.logs if of == task])
    means = frame[(frame["task"] == task) & frame["seed"].isna() & frame["system"].isin(compared["students"])]
    return TaskResults(
        key=task,
        title=study.tasks[task],
        n_inputs=compared["n_inputs"],
        seeds=int(means["seeds"].max()),
        standings=found,
        main=main,
        summary=standings_table(list(found.values()), systems),
        untrained=untrained_teacher(main, trivial) if main else [],
        matrices={
            name: [
                matrix(found[key], compared["metrics"][key], titles) for key in found if (key in RISK_TITLES) is risk
            ]
            for name, risk in (("metrics", False), ("risks", True))
        },
        costs=costs,
        cost_table=cost_table(main, costs, {name: systems[name] for name in compared["students"]}),
        figures={kind: _embedded(path) for (of, kind), path in files.figures.items() if of == task},
    )


def _embedded(path: Path) -> str:
    """The address of a picture that contains it. As a picture, an SVG file runs no script and loads nothing."""
    check(path, note_input(path))
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _examples(files: Files, study: Study, systems: dict[str, str]) -> list[dict[str, Any]]:
    """The examples, of each system's output the words that differ from the reference."""
    sampled = sample_examples(files.tests, files.generations, study.tasks, systems, count=study.examples, seed=SEED)
    return [
        {
            "task": study.tasks[example.task],
            "source": shorten(example.source),
            "reference": example.reference,
            "outputs": {
                systems[name]: word_differences(example.reference, output) for name, output in example.outputs.items()
            },
        }
        for example in sampled
    ]


def _parts(files: Files) -> dict[str, list[Path]]:
    """The files by the part of the report that shows them."""
    kinds = {"risk": "Risk figure", "curves": "Learning curves", "cost": "Quality against cost"}
    return {
        "Main results": list(files.metrics.values()),
        "Risks": list(files.risks.values()),
        "Answer, comparisons": list(files.comparisons.values()),
        "Claims": [files.claims] if files.claims else [],
        **{part: [path for (_, of), path in files.figures.items() if of == kind] for kind, part in kinds.items()},
        "Examples": list(files.generations.values()),
        "Data": list(files.manifests.values()),
    }
