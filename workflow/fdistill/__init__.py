"""f-DISTILL: sequence-level knowledge distillation as f-divergence minimisation."""

__version__ = "0.6.0"  # asked here, for the package need not be installed: rules run this folder's
