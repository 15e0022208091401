"""f-DISTILL: sequence-level knowledge distillation as f-divergence minimisation."""
