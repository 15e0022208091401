"""f-DISTILL: sequence-level knowledge distillation as f-divergence minimisation."""

from fdistill import lean_imports

lean_imports.install()
