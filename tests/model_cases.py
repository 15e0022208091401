"""What the tests of models and of sampling share: padded batches, and models with many likely outcomes."""

import tiny
from fdistill.data.batches import label_batch, source_batch

# A milder initialisation than tiny's: distributions with many outcomes of enough mass.
MILD = {
    **tiny.for_kin({"init_std": 0.15}),
    "t5": {"initializer_factor": 0.7},
    "gpt2": {"initializer_range": 0.15},
    **tiny.for_llamas({"initializer_range": 0.15}),
}


def padded_batch(checkpoint):
    """Six sources and targets of unequal lengths, and the same as one padded batch: a Source, and labels."""
    sources, targets = tiny.random_pairs(checkpoint, 6)
    assert len({len(s) for s in sources}) > 2 and len({len(t) for t in targets}) > 2
    return sources, targets, source_batch(checkpoint.model, sources), label_batch(targets, "cpu")
