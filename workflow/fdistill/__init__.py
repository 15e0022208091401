"""f-DISTILL: sequence-level knowledge distillation as f-divergence minimisation."""

__version__ = "0.1.0"
