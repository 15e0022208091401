"""A task's figures as SVG files with reproducible bytes: training curves, risks, scores by size, the mixture of JS."""

from fdistill.evaluation.figures.curves import training_curves
from fdistill.evaluation.figures.mixture import mixture
from fdistill.evaluation.figures.risks import risk_scatter
from fdistill.evaluation.figures.sizes import scores_by_size

__all__ = ["mixture", "risk_scatter", "scores_by_size", "training_curves"]
