"""The figure of a task's scores by the size of the student (Wen et al. 2023, Figure 2)."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.systems import split_size
from fdistill.evaluation.aggregate import read_aggregated
from fdistill.evaluation.comparisons import TEACHER
from fdistill.evaluation.figures.drawing import STYLE, error_bars, finish, known, style_of
from fdistill.models.student_layers import Start
from fdistill.runtime.errors import UserError

APART = 0.04  # of the distance between two sizes: that between two methods' bars
IN_A_ROW = 3  # panels

Sizes = dict[str | None, dict[str, Any]]  # layers per stack, by size; None is the default size


def scores_by_size(paths: list[Path], sizes: Sizes, systems: dict[str, str], title: str, output: Path) -> None:
    """Draw each metric over the student's size, with a line per method, from a task's `metrics.json` files.

    Bars are the 95 % intervals, the dashed line is the teacher's value. Sizes stand in the order of their layers, at
    equal distances. `systems` maps the teacher and the methods to titles, and its order decides the colours. A value
    that is missing has no point, and a metric without any value is shown as n/a. Raises UserError for a method without
    a title, a size without the layers of every stack, a system twice, and files of different data or teachers.
    """
    files: dict[tuple[str, str | None], dict[str, Any]] = {}
    for path in paths:
        file = read_aggregated(path, "metrics")
        method, size = split_size(file["method"])
        known(method, systems, path)
        if size not in sizes:
            raise UserError(f"{path}: '{size}' is no size of --student-sizes; add it, or leave out this file")
        if (method, size) in files:
            raise UserError(f"{path}: a second file of '{file['method']}'; give one")
        files[method, size] = file["metrics"]
    common_lineage(*paths, seeds_differ=True)
    axis, labels = _size_axis(sizes)
    metrics = {key: entry for entries in files.values() for key, entry in entries.items()}
    with matplotlib.rc_context(STYLE):
        rows, columns = max(1, -(-len(metrics) // IN_A_ROW)), max(1, min(len(metrics), IN_A_ROW))
        figure = Figure(figsize=(3.2 * columns + 1.3, 2.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).flat
        for ax, (key, metric) in zip(panels, metrics.items(), strict=False):
            for i, method in enumerate(systems):
                entries = [files.get((method, size), {}).get(key) for size in labels]
                points = [(place, entry) for place, entry in enumerate(entries) if entry and entry["mean"] is not None]
                style = style_of(method, systems)
                if points and method == TEACHER:
                    ax.axhline(points[0][1]["mean"], linestyle="--", linewidth=1, **style | {"marker": ""})
                elif points:
                    _line(ax, points, APART * (i - len(systems) / 2), style)
            if not ax.has_data():
                ax.text(0.5, 0.5, "n/a: see the main table", transform=ax.transAxes, horizontalalignment="center")
            ax.set_xticks(range(len(labels)), labels.values())
            ax.set_xlim(-0.5, len(labels) - 0.5)
            ax.set_xlabel(axis)
            ax.set_ylabel(f"{metric['title']} ({metric['direction']} is better)")
        for ax in panels:  # those that are left
            ax.remove()
        finish(figure, title, systems, output)


def _size_axis(sizes: Sizes) -> tuple[str, dict[str | None, str]]:
    """Return the title of the axis, and the labels of the sizes in their order: the layers that differ between them."""
    stacks = list(sizes[None])
    for size, layers in sizes.items():
        if set(layers) != set(stacks):
            raise UserError(f"--student-sizes: '{size}' must have the stacks of --student: {', '.join(stacks)}")
    differing = [stack for stack in stacks if any(sizes[size][stack] != sizes[None][stack] for size in sizes)] or stacks

    def counts(size: str | None) -> list[int]:
        return [Start.read(sizes[size][stack]).count for stack in stacks]

    def label(size: str | None) -> str:
        return "-".join(Start.read(sizes[size][stack]).label for stack in differing)

    return f"{'-'.join(differing)} layers of the student", {size: label(size) for size in sorted(sizes, key=counts)}


def _line(ax: Axes, points: list[tuple[int, dict[str, Any]]], shift: float, style: dict[str, Any]) -> None:
    """Draw means with their intervals, if they have one, at their places moved by `shift`."""
    places, entries = [place + shift for place, _ in points], [entry for _, entry in points]
    means = [entry["mean"] for entry in entries]
    ax.errorbar(places, means, yerr=error_bars(entries), linewidth=1.2, elinewidth=0.8, markersize=5, **style)
