"""Sequences from a model: on-policy samples in training, offline samples and decoding, cached teacher distributions."""
