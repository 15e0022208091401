"""Samples of published checkpoints follow the model alone: generation settings and left padding change nothing."""

import pytest
import torch
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.sampling import sampler
from fdistill.sampling.sampler import ancestral_sample, sequence_log_probs
from hub_cases import encoded, raw, raw_logits, teacher_of

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


def test_samples_come_from_the_models_own_distribution(hub, name, monkeypatch):
    """At every step tokens are sampled from the softmax of transformers' logits: nothing forced, banned or cut."""
    checkpoint, module = teacher_of(hub, name), raw(hub, name)
    sources = encoded(checkpoint).sources
    distributions = []
    inverse_cdf = sampler._inverse_cdf

    def recording_inverse_cdf(logits, chance):
        distributions.append(logits.softmax(-1))
        return inverse_cdf(logits, chance)

    monkeypatch.setattr(sampler, "_inverse_cdf", recording_inverse_cdf)
    for row, source in enumerate(sources):
        distributions.clear()
        samples = ancestral_sample(checkpoint.model, source_batch(checkpoint.model, [source]), 8, [0], [row])
        tokens = samples.labels[0].tolist()
        expected = raw_logits(module, checkpoint, source, tokens).softmax(-1)
        torch.testing.assert_close(torch.cat(distributions), expected, rtol=1e-4, atol=1e-5)
        log_prob = expected.gather(1, torch.tensor(tokens).unsqueeze(1)).log().sum().item()
        stored = sequence_log_probs(checkpoint.model, source_batch(checkpoint.model, [source]), samples.labels)
        assert stored.sum().item() == pytest.approx(log_prob, abs=1e-3)


def test_left_padding_changes_no_sample(hub, monkeypatch):
    """Tokens are sampled from the distributions of each row alone, at every step; wrong positions would change them."""
    checkpoint = teacher_of(hub, "DialoGPT")
    sources = encoded(checkpoint).sources
    source = source_batch(checkpoint.model, sources)
    recorded, unfinished = [[] for _ in sources], [range(len(sources))]
    start, step, select_rows = checkpoint.model.start, checkpoint.model.step, checkpoint.model.select_rows

    def record(logits):
        for row, row_logits in zip(unfinished[-1], logits, strict=True):
            recorded[row].append(row_logits)
        return logits

    def recording_start(context):
        logits, state = start(context)
        return record(logits), state

    def recording_select_rows(rows, state):
        unfinished.append([unfinished[-1][row] for row in rows.tolist()])
        select_rows(rows, state)

    monkeypatch.setattr(checkpoint.model, "start", recording_start)
    monkeypatch.setattr(checkpoint.model, "step", lambda *args: record(step(*args)))
    monkeypatch.setattr(checkpoint.model, "select_rows", recording_select_rows)
    samples = ancestral_sample(checkpoint.model, source, 6, [0]).labels
    for row, ids in enumerate(sources):
        tokens = [token for token in samples[row].tolist() if token != IGNORE]
        expected = raw_logits(checkpoint.model.module, checkpoint, ids, tokens)
        actual = torch.stack(recorded[row])
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        shifted = checkpoint.model.module(source.input_ids, attention_mask=source.attention_mask).logits[1, -1]
    assert (shifted[: checkpoint.model.vocabulary] - recorded[1][0]).abs().max() > 0.1
