"""The figure of how a task's students learn from different starts (Shleifer & Rush 2020, Figure 2)."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.figures.curves import draw_line, label_dev, loss_axis
from fdistill.evaluation.figures.drawing import STYLE, finish, known, style_of
from fdistill.evaluation.histories import LOSS, dev_points, read_log


def start_curves(logs: list[tuple[str, Path]], systems: dict[str, str], title: str, output: Path) -> None:
    """Draw the loss on the development split over steps, with a line per start and seed.

    Arguments and errors as for `training_curves`; the systems are one method's sizes.
    """
    runs = [(system, read_log(path)) for system, path in logs if known(system, systems, path)]
    common_lineage(*(path for _, path in logs), seeds_differ=True)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        ax = figure.subplots()
        for system, log in runs:
            draw_line(ax, dev_points(log, LOSS), style_of(system, systems))
        loss_axis(ax)  # a start without copied layers begins far above those that differ little in the end
        label_dev(ax, LOSS)
        ax.set_xlabel("step")
        finish(figure, title, systems, output)
