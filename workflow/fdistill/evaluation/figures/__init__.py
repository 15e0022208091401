"""A task's figures as SVG files with reproducible bytes: curves, risks, scores over cost and size, JS's mixture."""

from fdistill.evaluation.figures.costs import cost_scatter
from fdistill.evaluation.figures.curves import training_curves
from fdistill.evaluation.figures.mixture import mixture
from fdistill.evaluation.figures.risks import risk_scatter
from fdistill.evaluation.figures.sizes import scores_by_size

__all__ = ["cost_scatter", "mixture", "risk_scatter", "scores_by_size", "training_curves"]
