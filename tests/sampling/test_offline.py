"""Offline sampling over a split: a sample depends on its own batch alone, and follows the model's distribution."""

import pytest
import tiny
from fdistill.artifacts.batch_store import BatchStore
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.runtime.errors import UserError
from fdistill.sampling import offline
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS
from fdistill.sampling.sampler import SamplingConfig, sample_batch

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


@pytest.mark.parametrize(
    ("mode", "options", "engine"),
    [
        ("beam", {"num_beams": 4}, TRANSFORMERS),
        ("beam", {"num_beams": 4, "early_stopping": True}, CTRANSLATE2),
        ("diverse_beam", {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 2.0}, TRANSFORMERS),
    ],
)
def test_the_best_sequences_of_one_search(mode, options, engine, tmp_path):
    """Three of each input, different ones, with the model's own log-probabilities; an interrupted run has the same."""
    checkpoint = tiny.checkpoint("bart", seed=2)
    sources, ids = tiny.random_pairs(checkpoint, 10)[0], [str(i) for i in range(10)]
    sampling = SamplingConfig.from_settings({"mode": mode} | options, 6, per_input=3)

    def columns(store):
        return offline.sample_sequences(checkpoint.model, ids, sources, sampling, 3, 4, 1, store, engine)

    found = columns(BatchStore())
    assert found["id"] == [i for i in ids for _ in range(3)] and found["sample"] == [0, 1, 2] * 10
    searched = sample_batch(checkpoint.model, source_batch(checkpoint.model, sources), sampling, [0]).labels
    assert found["tokens"] == [[token for token in row if token != IGNORE] for row in searched.tolist()]
    assert all(len({*map(tuple, found["tokens"][i : i + 3])}) == 3 for i in range(0, 30, 3))
    for row, (tokens, log_prob) in enumerate(zip(found["tokens"], found["log_prob"], strict=True)):
        expected = -tiny.reference_nll(checkpoint.model, sources[row // 3], tokens).item()
        assert log_prob == pytest.approx(expected, abs=1e-4)
    assert columns(BatchStore(tmp_path, IDENTITY)) == columns(BatchStore(tmp_path, IDENTITY)) == found


@pytest.mark.parametrize("engine", [TRANSFORMERS, CTRANSLATE2])
def test_more_beams_than_tokens_are_refused_before_the_first_batch(engine):
    checkpoint = tiny.checkpoint("bart")
    sources, size = tiny.random_pairs(checkpoint, 1)[0], checkpoint.model.module.config.vocab_size
    decoding = {"max_new_tokens": 2, "num_beams": size + 1, "early_stopping": True}
    with pytest.raises(UserError, match=f"num_beams: {size + 1} is more than the {size} tokens of the model's vocab"):
        offline.generate_texts(checkpoint.model, checkpoint.tokenizer, sources, decoding, 1, 0, engine=engine)
    sampling = SamplingConfig(2, "beam", {"num_beams": size + 1})
    with pytest.raises(UserError, match=f"num_beams: {size + 1} is more than"):
        offline.sample_sequences(checkpoint.model, ["0"], sources, sampling, 1, 1, 0, engine=engine)
