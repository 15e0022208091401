"""Artifacts: what lies on disk, where it comes from, and whether it can be trusted."""
