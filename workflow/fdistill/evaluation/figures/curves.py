"""The figure of a task's training curves."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.figures.drawing import STYLE, finish, known, style_of
from fdistill.evaluation.histories import dev_metrics, dev_points, dev_title, read_log

MARKED = 12  # markers on a curve
COLUMNS = 3  # panels side by side, at most
LABEL = 20  # letters of a metric that has a line of its own in an axis label, if it has more


def training_curves(logs: list[tuple[str, Path]], systems: dict[str, str], title: str, output: Path) -> None:
    """Draw loss and development metrics over steps from `train.jsonl` files.

    `logs` has (system, file) pairs, one per seed; the seeds of a system share a colour. `systems` maps keys to titles,
    and its order decides the colours. Methods minimise different objectives: the losses' panel shows whether each
    falls, while the development metrics can be compared. Raises UserError for a system without a title, a missing or
    damaged file, or files that belong to different data or teachers.
    """
    runs = [(system, read_log(path)) for system, path in logs if known(system, systems, path)]
    common_lineage(*(path for _, path in logs), seeds_differ=True)
    metrics = dev_metrics(log for _, log in runs)
    with matplotlib.rc_context(STYLE):
        columns = min(1 + len(metrics), COLUMNS)
        rows = -(-(1 + len(metrics)) // columns)
        figure = Figure(figsize=(3.6 * columns + 1.3, 3.2 * rows), layout="constrained")
        first = figure.add_subplot(rows, columns, 1)
        axes = [first, *(figure.add_subplot(rows, columns, 2 + i, sharex=first) for i in range(len(metrics)))]
        for system, log in runs:
            style = style_of(system, systems)
            draw_line(axes[0], [(line["step"], line["loss"]) for line in log if "loss" in line], style)
            for ax, key in zip(axes[1:], metrics, strict=True):
                draw_line(ax, dev_points(log, key), style)
        axes[0].set_ylabel("training loss (each method's own)")
        loss_axis(axes[0])  # objectives differ by an order of magnitude
        for ax, key in zip(axes[1:], metrics, strict=True):
            label_dev(ax, key)
        steps = {line["step"] for _, log in runs for line in log if line["step"]} or {1}
        for ax in axes:
            _step_axis(ax, min(steps), max(steps))
        finish(figure, title, systems, output)


def label_dev(ax: Axes, metric: str) -> None:
    """Label the axis of a metric on the development split."""
    title = dev_title(metric)
    ax.set_ylabel(f"{title} on the development split" if len(title) <= LABEL else f"{title}\non the development split")


def loss_axis(ax: Axes) -> None:
    """Make the vertical axis logarithmic, if all values are positive."""
    if all(value > 0 for line in ax.get_lines() for value in line.get_ydata()):
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())


def draw_line(ax: Axes, points: list[tuple[float, float]], style: dict[str, Any]) -> None:
    """Draw a line with at most about MARKED markers; a single point has one too."""
    if points:
        markers = {"markersize": 4, "markevery": -(-len(points) // MARKED)}
        ax.plot(*zip(*points, strict=True), linewidth=1.2, alpha=0.85, **markers, **style)


def _step_axis(ax: Axes, first: int, last: int) -> None:
    """Give `ax` a logarithmic axis of the steps from `first` to `last`, with a place for step 0 before them.

    A teacher takes many times the steps of a student, so that a linear axis would show the teacher only.
    """
    ax.set_xscale("symlog", linthresh=first, linscale=0.3)
    powers = [10**exponent for exponent in range(10) if first <= 10**exponent <= last]
    ax.set_xlim(left=-0.3 * first)
    ax.set_xticks([0, *(powers if len(powers) > 1 else [first, last])])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("step")
