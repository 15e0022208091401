"""Offline sampling over a split: a sample depends on its own batch alone, and follows the model's distribution."""

import tiny
from fdistill.artifacts.batch_store import BatchStore
from fdistill.sampling import offline
from fdistill.sampling.sampler import SamplingConfig

IDENTITY = {"model": "m" * 64, "seed": 1}


def test_stored_batches_of_another_batch_size_are_not_used(tmp_path, caplog):
    """A stored batch is used only if the batch of its number has the same rows."""
    checkpoint = tiny.checkpoint("bart")
    sources, _ = tiny.random_pairs(checkpoint, 30)
    ids = [str(i) for i in range(30)]

    def sample(batch_size, store):
        config = SamplingConfig(6)
        return offline.sample_sequences(checkpoint.model, ids, sources, config, 1, batch_size, 1, store)["tokens"]

    expected = sample(10, BatchStore())
    assert sample(10, BatchStore(tmp_path, IDENTITY)) == expected
    assert sample(lambda longest: 60 // longest, BatchStore(tmp_path, IDENTITY)) == expected
    assert "belongs to another run (batches)" in caplog.text


def test_a_sample_does_not_depend_on_how_many_are_sampled():
    checkpoint = tiny.checkpoint("bart")
    sources, _ = tiny.random_pairs(checkpoint, 10)
    ids = [str(i) for i in range(10)]
    one, three = (
        offline.sample_sequences(checkpoint.model, ids, sources, SamplingConfig(6), n, 4, seed=1) for n in (1, 3)
    )
    assert one["tokens"] == three["tokens"][::3] and one["log_prob"] == three["log_prob"][::3]


def test_samples_over_a_split_follow_the_models_distribution():
    """The first tokens sampled for one source over 200 batches, against their exact probabilities."""
    checkpoint, count = tiny.checkpoint("bart"), 1600
    source = tiny.random_pairs(checkpoint, 1)[0][0]
    columns = offline.sample_sequences(
        checkpoint.model, ["x"] * count, [source] * count, SamplingConfig(2), 1, 8, seed=1
    )
    sampled = [tokens[0] for tokens in columns["tokens"]]
    exact = tiny.reference_log_probs(checkpoint.model, source, [0])[0].exp().tolist()
    for token, p in enumerate(exact):
        assert abs(sampled.count(token) / count - p) < 4 * (p * (1 - p) / count) ** 0.5 + 1e-9
