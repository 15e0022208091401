"""The figure of a task's main metric over latency relative to the teacher's, with the Pareto front."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fdistill.evaluation.deployment import (
    FLOAT32,
    FULL,
    INT8,
    RUNTIMES,
    inverse,
    main_metric,
    pareto_front,
    read_deployments,
)
from fdistill.evaluation.figures.drawing import STYLE, finish, known, style_of

FILLS = {FULL: "none", FLOAT32: "left", INT8: "full"}  # of the markers
FRONT = "Pareto front"


def latency_scatter(paths: list[Path], systems: dict[str, str], title: str, output: Path) -> None:
    """Draw the main metric over the latency of one input, by system and runtime, from deployment.json files.

    The latency is the share of the teacher's by transformers that was measured in turn with it: jobs at other times
    have other absolute ones. Bars are its quartiles and the 95 % interval of the score. A line joins the points that
    no other one beats. All points have one metric: a model without a value of it, and a runtime that could not run,
    have none. Errors as of `read_deployments` and, for a system without a title, `known`.
    """
    files = read_deployments(paths)
    metric, measured = main_metric(files.values()), {}
    for (_, system), file in files.items():
        known(system, systems, paths[0])
        for runtime in RUNTIMES:
            found = file["runtimes"][runtime]
            score = None if "missing" in found else found["scores"].get(metric)
            if score is not None and score["value"] is not None:
                measured[system, runtime] = inverse(found["speedup"]["latency"]), score
    extra = {**RUNTIMES, FRONT: FRONT}
    shown = systems | {f"{name} ": text for name, text in extra.items()}  # a blank, as a system may have such a name
    labels = {name: str(list(shown).index(f"{name} ")) for name in extra}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.8, 3.9), layout="constrained")
        ax = figure.subplots()
        for (system, runtime), (latency, score) in measured.items():
            style = style_of(system, systems)
            style |= {"fillstyle": FILLS[runtime], "markerfacecolor": style["color"]} if runtime != FULL else {}
            ax.errorbar(
                latency["median"],
                score["value"],
                xerr=[[latency["median"] - latency["q1"]], [latency["q3"] - latency["median"]]],
                yerr=_bars(score),
                **style | {"label": style["label"] if runtime == FULL else "_", "linestyle": ""},
                markersize=7,
                elinewidth=0.8,
            )
        if measured:
            score = next(iter(measured.values()))[1]
            points = {key: (latency["median"], entry["value"]) for key, (latency, entry) in measured.items()}
            front = [points[key] for key in pareto_front(points, score["direction"])]
            line = {"color": "#777777", "linestyle": "--", "linewidth": 1, "zorder": 0}
            ax.plot(*zip(*front, strict=True), label=labels[FRONT], gid="front", **line)
            ax.set_ylabel(f"{score['title']} on the test split ({score['direction']} is better)")
            ax.set_xscale("log")
            for runtime in dict.fromkeys(runtime for _, runtime in measured):
                look = {"color": "#777777", "fillstyle": FILLS[runtime], "linestyle": "", "marker": "o"}
                ax.add_line(Line2D([], [], label=labels[runtime], markersize=7, **look))
        ax.set_xlabel(
            f"latency of one input, share of the teacher's\nby transformers (median, quartiles)\n{_machine(files)}"
        )
        finish(figure, title, shown, output)


def _bars(score: dict) -> list[list[float]] | None:
    """The distances from the score to the bounds of its interval; percentiles may leave it out."""
    if score["interval"] is None:
        return None
    low, high = score["interval"]
    return [[max(0, score["value"] - low)], [max(0, high - score["value"])]]


def _machine(files: dict) -> str:
    return next(iter(files.values()))["machine"]["name"]
