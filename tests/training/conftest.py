"""The fixtures of the tests of training."""

import pytest
import tiny
from fdistill.data.batches import label_batch
from fdistill.sampling.sampler import Samples
from fdistill.training import learner
from training_cases import MAX_NEW


@pytest.fixture(params=["bart", "t5", "gpt2"])
def family(request) -> str:
    """One family of each architecture; the tests of models cover the relatives of BART."""
    return request.param


@pytest.fixture
def pair(family):
    """A teacher of four layers and a random student of two."""
    deep = dict.fromkeys(tiny.LAYER_KEYS[family], 4)
    return tiny.checkpoint(family, seed=1, **deep), tiny.checkpoint(family, seed=2)


@pytest.fixture
def fixed_samples(monkeypatch):
    """Student samples that depend on the source alone, so that no split of a batch changes them."""

    def sequence(checkpoint, source):
        letters = tiny.letter_ids(checkpoint)
        length = 1 + sum(source) % (MAX_NEW - 1)
        eos = [checkpoint.model.eos_token_id] if sum(source) % 3 else []
        return [letters[(token + t) % len(letters)] for t, token in zip(range(length), source * 6, strict=False)] + eos

    def install(checkpoint):
        def sample(model, source, *_):
            mask = source.attention_mask.bool()
            rows = [sequence(checkpoint, ids[m].tolist()) for ids, m in zip(source.input_ids, mask, strict=True)]
            return Samples(label_batch(rows, "cpu"), None)

        monkeypatch.setattr(learner, "sample_batch", sample)
        return lambda source: sequence(checkpoint, source)

    return install
