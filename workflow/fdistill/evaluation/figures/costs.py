"""The figure of a task's main metric over what a student takes to train."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.aggregate import main_metric, read_aggregated
from fdistill.evaluation.comparisons import TEACHER
from fdistill.evaluation.costs import student_costs
from fdistill.evaluation.figures.drawing import STYLE, error_bars, finish, known, style_of


def cost_scatter(
    metrics: list[Path], logs: list[tuple[str, Path]], systems: dict[str, str], title: str, output: Path
) -> None:
    """Draw the task's main metric over the time that a student takes to train (`costs.student_costs`).

    `metrics` are the `metrics.json` of the students and of the teacher, whose own value is a line, and `logs` the
    students' `train.jsonl`, as for `training_curves`. A bar shows the 95 % interval. Students without a time or a
    value are left out. `systems` and errors as for `training_curves`.
    """
    files = [read_aggregated(path, "metrics") for path in metrics]
    common_lineage(*metrics, *(path for _, path in logs), seeds_differ=True)
    for file, path in zip(files, metrics, strict=True):
        known(file["method"], systems, path)
    key, costs = main_metric(files), student_costs(logs)
    entries = {file["method"]: file["metrics"][key] for file in files if key in file["metrics"]}
    measured = {system: entry for system, entry in entries.items() if entry["mean"] is not None}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        ax = figure.subplots()
        for system in filter(measured.get, systems):
            entry, style = measured[system], style_of(system, systems)
            if system == TEACHER:
                ax.axhline(entry["mean"], color="#777777", linestyle=":", linewidth=1, zorder=0, label=style["label"])
            elif system in costs:
                style |= {"linestyle": "", "markersize": 7, "elinewidth": 0.8}
                ax.errorbar(costs[system].seconds, entry["mean"], yerr=error_bars([entry]), **style)
        ax.set_xlabel("wall time of the training and what it needs\nbeside data and teacher, seconds (mean over seeds)")
        if measured:
            entry = next(iter(measured.values()))
            ax.set_ylabel(f"{entry['title']} on the test split ({entry['direction']} is better)")
            ax.set_xlim(left=0)
        finish(figure, title, systems, output)
