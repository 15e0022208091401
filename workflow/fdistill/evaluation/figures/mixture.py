"""The figure of what the exact mixture of JS (Wen et al. 2023, Eq. 12) does to training."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fdistill.artifacts.files import read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.shapes import COUNT
from fdistill.evaluation.figures.curves import draw_line, label_dev
from fdistill.evaluation.figures.drawing import STYLE, finish, known, style_of
from fdistill.evaluation.histories import dev_metrics, dev_points, read_log
from fdistill.losses.sequences import STUDENT_SAMPLES, TEACHER_SAMPLES

WEIGHTS = [{"n": COUNT, "quantiles": [float]}]
MIXTURE_FILE = {"weights": {...: WEIGHTS}, "gradients": {...: {"signal": float, "noise": float}}}
SAMPLES = {TEACHER_SAMPLES: ("#0072B2", "teacher's samples"), STUDENT_SAMPLES: ("#D55E00", "student's samples")}


def mixture(path: Path, logs: list[tuple[str, Path]], systems: dict[str, str], title: str, output: Path) -> None:
    """Draw a task's `mixture.json`: weights along samples, gradients of a first step, and the training that followed.

    `logs`, `systems` and errors as for `training_curves`.
    """
    measured = read_json(path, MIXTURE_FILE)
    runs = [(system, read_log(log)) for system, log in logs if known(system, systems, log)]
    common_lineage(path, *(log for _, log in logs), seeds_differ=True)
    metric = next(iter(dev_metrics(log for _, log in runs)), None)  # none, if nothing was trained
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 3.5), layout="constrained")
        along, gradients, training = figure.subplots(1, 3)
        medians = [_weights(along, measured["weights"][kind], colour) for kind, (colour, _) in SAMPLES.items()]
        labels = [label for _, label in SAMPLES.values()]
        # The bands fill the axes, so that the legend stands above them.
        above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 2}
        along.legend(medians, labels, **above, columnspacing=1, handlelength=1, frameon=False)
        along.set_xlabel("position in the sequence")
        along.set_ylabel("teacher's weight in the exact mixture")
        along.set_ylim(0, 1)
        shown = [method for method in systems if known(method, systems, path) and method in measured["gradients"]]
        for place, method in enumerate(shown):
            size = measured["gradients"][method]
            style = style_of(method, systems)
            bar = {"color": style["color"], "label": style["label"], "alpha": 0.6, "width": 0.6}
            gradients.bar(place, size["signal"] / size["noise"], **bar)
        gradients.set_xticks(range(len(shown)), [""] * len(shown))
        gradients.set_ylabel("first step's gradient: signal over noise")
        for system, log in runs:
            draw_line(training, dev_points(log, metric), style_of(system, systems))
        training.set_xlabel("step")
        if metric:
            label_dev(training, metric)
        finish(figure, title, systems, output)


def _weights(ax: Axes, positions: list[dict[str, Any]], colour: str) -> Line2D:
    """Draw the median of the weights by position, and bands with half and nine tenths of them; return the median."""
    low, lower, median, upper, high = zip(*(position["quantiles"] for position in positions), strict=True)
    places = range(1, len(positions) + 1)
    ax.fill_between(places, low, high, color=colour, alpha=0.12, linewidth=0)
    ax.fill_between(places, lower, upper, color=colour, alpha=0.25, linewidth=0)
    (line,) = ax.plot(places, median, color=colour)
    return line
