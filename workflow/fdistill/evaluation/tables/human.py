"""The table of a human evaluation (Wen et al. 2023, Table 5), from what `fdistill.evaluation.human.analysis` finds."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.resampling import CONFIDENCE
from fdistill.evaluation.tables.frame import COLUMNS, Section
from fdistill.evaluation.tables.results import pivot
from fdistill.evaluation.tables.table import Table

# Columns of the CSV file beside the frame's.
OWN = {
    **dict.fromkeys(("n_inputs", "n_ratings"), "Int64"),  # of which the mean is
    "above_baseline": "float64",  # the mean difference to the first system
    "tested_inputs": "Int64",  # of which that difference is
    **dict.fromkeys(("p", "p_holm", "wilcoxon_p", "wilcoxon_p_holm"), "float64"),
    "alpha": "float64",  # of the aspect
}
PLACES = ["task", "system", "metric", "direction", "mean", "low", "high"]
MISSING = ["missing_reason", "missing_fix"]


def human_table(
    results: dict[str, Any], tasks: dict[str, str], systems: dict[str, str], paper: PublishedTable | None = None
) -> Table:
    """Build the table of `results` (see `analyse`); `tasks` and `systems` map keys to titles, in the order of rows.

    `paper` is the published table to compare with. CSV has one record per system and aspect, the `metric`, with the
    tests of the system against the first one.
    """
    rows = [row for title in results["aspects"] for row in _rows(results, title)]
    baseline = systems[results["systems"][0]]
    table = pivot(
        pd.DataFrame(rows, columns=[*COLUMNS, *OWN]).astype(COLUMNS | OWN),
        tasks,
        [Section("", systems)],
        paper,
        title=f"Human evaluation: {tasks[results['task']]}",
        caption=f"Human evaluation: mean ratings from 1 to {results['scale']} of outputs for {results['n_inputs']} "
        f"test inputs, annotators: {len(results['annotators'])}. Bold: better than {baseline}, by "
        f"a one-sided paired t-test over inputs (p < {1 - CONFIDENCE:.2f}, corrected by Holm). "
        "↑/↓: the higher/lower, the better.",
    )
    compared = ["published", "difference"] if paper else []
    return replace(
        table.part(columns=slice(1, None)),  # without the labels of sections, of which there is one
        names=1,
        records=table.records[[*PLACES, *OWN, *compared, *MISSING]],
        notes=[*table.notes, *_notes(results, systems)],
    )


def _rows(results: dict[str, Any], title: str) -> Iterator[dict[str, Any]]:
    """The rows of the frame for one aspect, a system each."""
    aspect = results["aspects"][title]
    for system, entry in aspect["systems"].items():
        row = {"task": results["task"], "system": system, "metric": title, "title": title}
        row |= {"direction": aspect["direction"], "value": entry["mean"], "alpha": aspect["alpha"], "best": False}
        row |= {key: entry[key] for key in ("n_inputs", "n_ratings")}
        row |= dict(zip(("low", "high"), entry["interval"] or (), strict=False))
        row |= {f"missing_{key}": text for key, text in (entry["missing"] or {}).items()}
        if test := entry["test"]:
            row |= {"above_baseline": test["difference"], "tested_inputs": test["n_inputs"]} | test["t"]
            row |= {f"wilcoxon_{key}": p for key, p in test["wilcoxon"].items()}
            row["best"] = row["p_holm"] is not None and row["p_holm"] <= 1 - CONFIDENCE
        yield row


def _notes(results: dict[str, Any], systems: dict[str, str]) -> Iterator[str]:
    """Yield the tests of each system, the agreement, and who has not rated everything."""
    aspects, (baseline, *others) = results["aspects"], results["systems"]
    for system in others:
        tests = [f"{title} {_tests(aspect['systems'][system]['test'])}" for title, aspect in aspects.items()]
        yield f"Is {systems[system]} better than {systems[baseline]}? {'; '.join(tests)}."
    alphas = [f"{title} {_shown(aspect['alpha'], aspect['missing'], '.2f')}" for title, aspect in aspects.items()]
    yield f"Agreement of the annotators, Krippendorff's α for ordinal ratings: {'; '.join(alphas)}."
    if any(count < results["n_ratings"] for count in results["annotators"].values()):
        counts = [f"{name}: {count}" for name, count in results["annotators"].items()]
        yield f"Not every text was rated; of {results['n_ratings']} ratings, {', '.join(counts)}."


def _tests(test: dict[str, Any]) -> str:
    p = [_shown(test[name]["p_holm"], test["missing"], ".3g") for name in ("t", "wilcoxon")]
    return f"p = {p[0]} (Wilcoxon's signed ranks: {p[1]})" if p[0] != p[1] else f"p = {p[0]}"


def _shown(value: float | None, missing: dict[str, str] | None, form: str) -> str:
    return f"n/a, {missing['reason']} (remedy: {missing['fix']})" if value is None else format(value, form)
