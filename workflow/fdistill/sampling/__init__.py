"""Sampling: sequences from a model, on-policy in training and offline over a split."""
