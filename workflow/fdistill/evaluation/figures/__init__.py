"""Figures as SVG files with reproducible bytes, one per module; `drawing` is what they share."""

from fdistill.evaluation.figures.costs import cost_scatter
from fdistill.evaluation.figures.curves import training_curves
from fdistill.evaluation.figures.latency import latency_scatter
from fdistill.evaluation.figures.mixture import mixture
from fdistill.evaluation.figures.modes import mode_panels
from fdistill.evaluation.figures.risks import risk_scatter
from fdistill.evaluation.figures.sizes import scores_by_size
from fdistill.evaluation.figures.starts import start_curves

__all__ = [
    "cost_scatter",
    "latency_scatter",
    "mixture",
    "mode_panels",
    "risk_scatter",
    "scores_by_size",
    "start_curves",
    "training_curves",
]
