"""What the tests of models and of sampling share: padded batches, and models with many likely outcomes."""

import tiny
from fdistill.data.batches import label_batch, source_batch
from fdistill.models.families import FAMILIES

# A milder initialisation than tiny's: distributions with many outcomes of enough mass.
MILD = {
    **tiny.for_kin({"init_std": 0.15}),
    "t5": {"initializer_factor": 0.7},
    "gpt2": {"initializer_range": 0.15},
    **tiny.for_llamas({"initializer_range": 0.15}),
    "opt": {"init_std": 0.15},
}

# The families whose models CTranslate2 runs.
CONVERTIBLE = [name for name, family in FAMILIES.items() if family.ctranslate2]


def convertible(family, seed=3):
    """A tiny model for CTranslate2: without a window shorter than the texts, which it would place otherwise."""
    wide = {"sliding_window": 32} if "sliding_window" in tiny.CONFIGS[family] else {}
    return tiny.checkpoint(family, seed=seed, **wide)


def padded_batch(checkpoint):
    """Six sources and targets of unequal lengths, and the same as one padded batch: a Source, and labels."""
    sources, targets = tiny.random_pairs(checkpoint, 6)
    assert len({len(s) for s in sources}) > 2 and len({len(t) for t in targets}) > 2
    return sources, targets, source_batch(checkpoint.model, sources), label_batch(targets, "cpu")
