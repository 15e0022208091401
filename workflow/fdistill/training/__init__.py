"""Training: one loop for every method, from pre-distillation to sequence-level distillation."""
