"""The figure of a task's risks."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fdistill.artifacts.files import read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.aggregate import ENTRY
from fdistill.evaluation.figures.drawing import STYLE, finish, known, style_of

_RISKS = {"method": str, "risks": {"r_llh_token": ENTRY, "r_cvg_token": ENTRY}}


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
