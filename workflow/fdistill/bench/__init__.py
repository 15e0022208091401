"""Benchmarks: what a step, offline work and a whole study cost."""
