"""Data: pinned archives, corpora, prepared splits, and batches of token ids."""
