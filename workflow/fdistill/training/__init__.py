"""Training: one loop for every method, from batches to gradients to checkpoints."""
