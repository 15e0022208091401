"""Draws a task's figures as SVG files with reproducible bytes: training curves and risks."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import read_json, read_json_lines
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.shapes import COUNT
from fdistill.evaluation.aggregate import ENTRY
from fdistill.evaluation.metrics import METRICS
from fdistill.runtime.errors import UserError

# The palette of Okabe and Ito, which colour-blind readers can tell apart, with more colours for up to a dozen systems.
# The number of markers differs from that of colours, so that a repeated colour comes with another marker.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#8C6D31", "#7F7F7F")
COLOURS += ("#6A3D9A", "#99CC33", "#B2182B")
MARKERS = "osD^vPX<>p*"  # drawn hollow, so that those at the same place can be told apart
_RISKS = {"method": str, "risks": {"r_llh_token": ENTRY, "r_cvg_token": ENTRY}}
MARKED = 12  # markers on a curve
STYLE = {
    "svg.hashsalt": "fdistill",  # without it the ids in the file are random
    "svg.fonttype": "none",  # text instead of outlines: smaller, and can be searched
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def training_curves(logs: list[tuple[str, Path]], systems: dict[str, str], title: str, output: Path) -> None:
    """Draw loss and development metrics over steps from `train.jsonl` files.

    `logs` has (system, file) pairs, one per seed; the seeds of a system share a colour. `systems` maps keys to titles,
    and its order decides the colours. Methods minimise different objectives: the losses' panel shows whether each
    falls, while the development metrics can be compared. Raises UserError for a system without a title, a missing or
    damaged file, or files that belong to different data or teachers.
    """
    runs = [(system, read_log(path)) for system, path in logs if known(system, systems, path)]
    common_lineage(*(path for _, path in logs), seeds_differ=True)
    metrics = list(dict.fromkeys(key for _, log in runs for line in log for key in line.get("dev", {})))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * (1 + len(metrics)) + 1.3, 3.2), layout="constrained")
        axes = figure.subplots(1, 1 + len(metrics), sharex=True, squeeze=False)[0]
        for system, log in runs:
            style = style_of(system, systems)
            _line(axes[0], [(line["step"], line["loss"]) for line in log if "loss" in line], style)
            for ax, key in zip(axes[1:], metrics, strict=True):
                _line(ax, [(line["step"], line["dev"][key]) for line in log if key in line.get("dev", {})], style)
        axes[0].set_ylabel("training loss (each method's own)")
        if all(value > 0 for line in axes[0].get_lines() for value in line.get_ydata()):
            axes[0].set_yscale("log")  # objectives differ by an order of magnitude
            axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes[0].yaxis.set_major_formatter("{x:g}")
            axes[0].yaxis.set_minor_locator(NullLocator())
        for ax, key in zip(axes[1:], metrics, strict=True):
            name = METRICS[key].title if key in METRICS else key.upper()
            ax.set_ylabel(f"{name} on the development split")
        steps = {line["step"] for _, log in runs for line in log if line["step"]} or {1}
        for ax in axes:
            _step_axis(ax, min(steps), max(steps))
        finish(figure, title, systems, output)


def risk_scatter(paths: list[Path], systems: dict[str, str], title: str, output: Path) -> None:
    """Draw coverage risk over likelihood risk, per token, from a task's aggregated `risk.json` files.

    With several seeds a cross shows one standard deviation. `systems` and errors as for `training_curves`.
    """
    files = [read_json(path, _RISKS) for path in paths]
    common_lineage(*paths, seeds_differ=True)
    for file, path in zip(files, paths, strict=True):
        known(file["method"], systems, path)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        ax = figure.subplots()
        teacher = None
        for file in sorted(files, key=lambda file: list(systems).index(file["method"])):
            llh, cvg = file["risks"]["r_llh_token"], file["risks"]["r_cvg_token"]
            if llh["mean"] is None or cvg["mean"] is None:
                continue
            style = style_of(file["method"], systems) | {"linestyle": "", "markersize": 7, "elinewidth": 0.8}
            ax.errorbar(llh["mean"], cvg["mean"], xerr=llh["std"], yerr=cvg["std"], **style)
            if file["method"] == "teacher":
                teacher = (llh["mean"], cvg["mean"])
        if teacher is not None:
            _mark_collapse(ax, *teacher)
        ax.set_xlabel("likelihood risk $R_{llh}$, nats per token\n(to the right: outputs untypical of the teacher)")
        ax.set_ylabel("coverage risk $R_{cvg}$, nats per token\n(up: covers less of the teacher's outputs)")
        finish(figure, title, systems, output)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a training log, none for a model that was not trained.

    Raises UserError when the file is missing or damaged.
    """
    lines, _ = read_json_lines(path, {"step": COUNT, "loss?": float, "dev?": {...: float}})
    return lines


def known(system: str, systems: dict[str, str], path: Path) -> bool:
    """Return True for a system that has a title; raises UserError for one without, the system of the file at `path`."""
    if system not in systems:
        raise UserError(f"{path}: system '{system}' has no title; add it to --systems (known: {', '.join(systems)})")
    return True


def style_of(system: str, systems: dict[str, str]) -> dict[str, Any]:
    """Return colour, marker and label of a system, the same in all figures with the same `systems`.

    The label is the system's place: matplotlib leaves labels that begin with `_`, as a title may, out of the legend.
    """
    i = list(systems).index(system)
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "markerfacecolor": "none",
        "label": str(i),
    }


def _line(ax: Axes, points: list[tuple[float, float]], style: dict[str, Any]) -> None:
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


def _mark_collapse(ax: Axes, llh: float, cvg: float) -> None:
    """Draw the teacher's own risks as lines, and shade the likelihood risks below the teacher's."""
    left, right = ax.get_xlim()
    left = min(left, llh - 0.12 * (right - left))  # room for the text
    for line, value in ((ax.axvline, llh), (ax.axhline, cvg)):
        line(value, color="#777777", linestyle=":", linewidth=1, zorder=0)
    ax.axvspan(left, llh, color="#D55E00", alpha=0.07, linewidth=0, zorder=0)
    ax.set_xlim(left, right)
    ax.text(
        *(llh, 0.99, "collapse: likelier than the teacher's own "),
        **{"transform": ax.get_xaxis_transform(), "rotation": 90, "fontsize": 7, "color": "#555555"},
        **{"horizontalalignment": "right", "verticalalignment": "top"},
    )


def finish(figure: Figure, title: str, systems: dict[str, str], output: Path) -> None:
    """Add title and legend, with each system once, and write the file without a date.

    Titles are the user's, where a dollar is a dollar and begins no formula.
    """
    entries = [ax.get_legend_handles_labels() for ax in figure.axes]
    once = {label: handle for handles, labels in entries for handle, label in zip(handles, labels, strict=True)}
    legend = figure.legend(once.values(), once.keys(), loc="outside right upper", frameon=False)
    titles = list(systems.values())
    for text in legend.get_texts():
        text.set(text=titles[int(text.get_text())], parse_math=False)
    figure.suptitle(title, parse_math=False)
    with atomic(output) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
