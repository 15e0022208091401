"""f-DISTILL: sequence-level knowledge distillation as f-divergence minimisation."""

__version__ = "0.7.0"  # read from here: the package need not be installed, rules put this folder on the path
