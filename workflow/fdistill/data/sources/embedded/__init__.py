"""Corpora that are read out of pinned Python packages: real text that needs no download but pip's."""
