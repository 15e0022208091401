"""The figure of one-mode students over their teachers of two modes: a row per teacher, a column per method."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fdistill.evaluation.figures.drawing import COLOURS, STYLE, save
from fdistill.evaluation.modes import student, teacher

TEACHER, STUDENT = {"color": "#BBBBBB", "linewidth": 0, "label": "teacher"}, {"color": COLOURS[3], "label": "student"}


def mode_panels(result: dict[str, Any], titles: dict[str, str], output: Path) -> None:
    """Draw a result of `modes.experiment` as an SVG file with reproducible bytes; `titles` names its methods."""
    teachers = result["teachers"]
    with matplotlib.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(0.6 + 1.8 * len(titles), 0.6 + 1.7 * len(teachers)), layout="constrained")
        rows = figure.subplots(len(teachers), len(titles), sharex=True, sharey=True, squeeze=False)
        for row, entry in zip(rows, teachers, strict=True):
            shares = " : ".join(f"{100 * mode['share']:.0f}" for mode in entry["modes"])
            row[0].set_ylabel(f"modes {shares}\nentropy {entry['entropy']:.2f}")
            for ax, method in zip(row, titles, strict=True):
                _panel(ax, entry["modes"], entry["students"][method])
        for ax, title in zip(rows[0], titles.values(), strict=True):
            ax.set_title(title, parse_math=False)
        for ax in rows[-1]:
            ax.set_xlabel("symbol")
        rows[0, 0].set_ylim(bottom=0)  # of all panels, which share it
        handles, labels = rows[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        save(figure, output)


def _panel(ax: Axes, modes: list[dict[str, float]], fitted: dict[str, Any]) -> None:
    """Draw one student over its teacher, with its objective and risks."""
    p, q = teacher(modes).exp().tolist(), student(fitted).exp().tolist()
    ax.fill_between(range(len(p)), p, **TEACHER)
    ax.plot(q, linewidth=1.5, **STUDENT)
    ax.set(xlim=(0, len(p) - 1), yticks=[])
    lines = [
        f"objective {fitted['objective']:.3f}",
        f"$R_{{llh}}$ {fitted['r_llh']:.2f}",
        f"$R_{{cvg}}$ {fitted['r_cvg']:.2f}",
    ]
    ax.text(0.99, 0.98, "\n".join(lines), transform=ax.transAxes, horizontalalignment="right", verticalalignment="top")
