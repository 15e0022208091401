"""From corpora to batches: pinned archives, text sources, prepared splits, token ids and stored samples."""
