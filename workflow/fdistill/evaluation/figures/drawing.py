"""What the figures share: colours and markers, the legend, and an SVG file with reproducible bytes."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fdistill.artifacts.atomic import atomic
from fdistill.runtime.errors import UserError

# The palette of Okabe and Ito, which colour-blind readers can tell apart, with more colours for up to a dozen systems.
# The number of markers differs from that of colours, so that a repeated colour comes with another marker.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#8C6D31", "#7F7F7F")
COLOURS += ("#6A3D9A", "#99CC33", "#B2182B")
MARKERS = "osD^vPX<>p*"  # drawn hollow, so that those at the same place can be told apart
STYLE = {
    "svg.hashsalt": "fdistill",  # without it the ids in the file are random
    "svg.fonttype": "none",  # text instead of outlines: smaller, and can be searched
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def known(system: str, systems: dict[str, str], path: Path) -> bool:
    """Return True for a system that has a title; raises UserError for one without, of the file at `path`."""
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


def error_bars(entries: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Return how far below and above its mean the interval of each entry reaches, 0 without one.

    An interval of percentiles may leave the mean out.
    """
    bounds = [(entry["mean"], *(entry["interval"] or [entry["mean"]] * 2)) for entry in entries]
    return [max(0, mean - low) for mean, low, _ in bounds], [max(0, high - mean) for mean, _, high in bounds]


def finish(figure: Figure, title: str, systems: dict[str, str], output: Path) -> None:
    """Add title and legend, with each system once, and write the file.

    Titles are the user's, where a dollar is a dollar and begins no formula.
    """
    entries = [ax.get_legend_handles_labels() for ax in figure.axes]
    once = {label: handle for handles, labels in entries for handle, label in zip(handles, labels, strict=True)}
    legend = figure.legend(once.values(), once.keys(), loc="outside right upper", frameon=False)
    titles = list(systems.values())
    for text in legend.get_texts():
        text.set(text=titles[int(text.get_text())], parse_math=False)
    figure.suptitle(title, parse_math=False)
    save(figure, output)


def save(figure: Figure, output: Path) -> None:
    """Write a figure as SVG, without a date; inside `STYLE` its bytes are reproducible."""
    with atomic(output) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
