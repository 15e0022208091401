"""Puts the report together from the files of a study's results."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.evaluation import tables
from fdistill.evaluation.claims import CLAIMS_FILE
from fdistill.evaluation.report.inputs import FIGURES, Files, Study
from fdistill.evaluation.report.origins import origins
from fdistill.evaluation.report.task import TaskResults, task_results
from fdistill.evaluation.report.words import word_differences
from fdistill.evaluation.tables.claims import claim_tests, claims_table
from fdistill.evaluation.tables.examples import SEED, sample_examples, shorten
from fdistill.evaluation.tables.formats import visible
from fdistill.evaluation.tables.frame import Section
from fdistill.evaluation.tables.page import render
from fdistill.evaluation.tables.table import Table
from fdistill.runtime.errors import UserError


def report_page(files: Files, study: Study) -> str:
    """Return the page, which is complete in itself. Raises UserError for files that do not belong together.

    The same files and settings give the same text.
    """
    metrics, risks, comparisons = list(files.metrics.values()), list(files.risks.values()), files.comparisons
    compared = (list(comparisons.values()), study.tasks, study.layout)
    frame = tables.results_frame(metrics, risks, *compared)
    decided = read_json(files.claims, CLAIMS_FILE)
    results = [task_results(task, files, study, frame) for task in study.tasks]
    _check_claims(files.claims, decided, study, results)
    verdicts = claims_table(decided, study.tasks)
    shown = ["stages"] if study.stages else []
    page = render(
        "report",
        study=study,
        without={"stages", *FIGURES} - {"risk", "cost", *shown, *(kind for _, kind in files.figures)},
        tasks=results,
        main=tables.main_table(metrics, *compared, study.paper.get("main")),
        risk=tables.risk_table(risks, *compared[:2], _with(files.risks, study), study.paper.get("risk")),
        stages=tables.stages_table(metrics, risks, *compared, study.stages) if study.stages else None,
        datasets=tables.datasets_table(
            files.manifests, study.tasks, study.stands_for, study.descriptions, study.paper.get("datasets")
        ),
        deployment=_deployment(files, study),
        verdicts=verdicts,
        claims=[
            (claim, claim_tests(claim, study.tasks, study.systems), *verdicts.cells.iloc[place, :2])
            for place, claim in enumerate(decided["claims"])
        ],
        examples=_examples(files, study),
        origins=origins(_parts(files), study.command),
    )
    return visible(page)


def _check_claims(path: Path, decided: dict[str, Any], study: Study, results: list[TaskResults]) -> None:
    """Raise UserError for claims that were decided in another study: with other tasks, or another number of seeds."""
    others = {task for claim in decided["claims"] for task in claim["tasks"]} - set(study.tasks)
    if others or decided["seeds"] not in {0, *(task.seeds for task in results)}:
        what = f"task '{min(others)}'" if others else f"{decided['seeds']} seeds"
        raise UserError(
            f"{path}: its claims are of a study with {what}, which this one has not; make it again (claims.py)"
        )


def _with(measured_files: dict[tuple[str, str], Path], study: Study) -> list[Section]:
    """The rows of systems that have such a file: the trivial ones have no model."""
    measured = {system for _, system in measured_files}
    rows = [
        replace(section, systems={key: title for key, title in section.systems.items() if key in measured})
        for section in study.layout
    ]
    return [section for section in rows if section.systems]


def _deployment(files: Files, study: Study) -> Table | None:
    """The table of what models cost in use, if the study has measured it."""
    paths = list(files.deployments.values())
    return tables.deployment_table(paths, study.tasks, _with(files.deployments, study)) if paths else None


def _examples(files: Files, study: Study) -> list[dict[str, Any]]:
    """The examples, of each system's output the words that differ from the reference."""
    sampled = sample_examples(
        files.tests, files.generations, study.tasks, study.systems, count=study.examples, seed=SEED
    )
    return [
        {
            "task": study.tasks[example.task],
            "source": shorten(example.source),
            "reference": example.reference,
            "outputs": [
                (study.systems[name], word_differences(example.reference, output))
                for name, output in example.outputs.items()
            ],
        }
        for example in sampled
    ]


def _parts(files: Files) -> dict[str, list[Path]]:
    """The files by the part of the report that shows them."""
    return {
        "Main results": list(files.metrics.values()),
        "Risks": list(files.risks.values()),
        "Answer, comparisons": list(files.comparisons.values()),
        "Claims": [files.claims],
        **{part: [path for (_, of), path in files.figures.items() if of == kind] for kind, part in FIGURES.items()},
        "Cost in use": list(files.deployments.values()),
        "Examples": list(files.generations.values()),
        "Data": list(files.manifests.values()),
    }
