"""Ancestral sampling: it follows the model's own distribution, row by row, until EOS; nothing else is disturbed."""

import pytest
import tiny
import torch
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.sampling.sampler import ancestral_sample, as_labels
from model_cases import MILD
from scipy.stats import chi2


def test_samples_stop_at_the_first_eos(family):
    checkpoint = tiny.checkpoint(family, letters="abc", **MILD[family])
    eos = checkpoint.model.eos_token_id
    sources, _ = tiny.random_pairs(checkpoint, 200)
    samples = ancestral_sample(checkpoint.model, source_batch(checkpoint.model, sources), 5, [0])
    seen = {True: 0, False: 0}
    for row, finished in zip(samples.labels.tolist(), samples.finished.tolist(), strict=True):
        tokens = [token for token in row if token != IGNORE]
        assert row == tokens + [IGNORE] * (len(row) - len(tokens))
        assert eos not in tokens[:-1]
        assert finished == (tokens[-1] == eos)
        assert finished or len(tokens) == 5
        seen[finished] += 1
    assert min(seen.values()) > 5  # both kinds occurred


def test_sampling_stops_when_every_row_is_finished(checkpoint, batch):
    """A model that always predicts EOS: one column, and no further step is run."""
    model = checkpoint.model
    start = model.start

    def only_eos(context):
        logits, state = start(context)
        model.step = None  # must not be called
        return torch.full_like(logits, -1e4).index_fill(1, torch.tensor(model.eos_token_id), 1e4), state

    model.start = only_eos
    samples = ancestral_sample(model, batch[2], 5, [0])
    assert samples.labels.tolist() == [[model.eos_token_id]] * 6 and samples.finished.all()


def exact_two_tokens(model, source):
    """Probabilities of all first and second tokens, EOS ending a sequence."""
    first = tiny.reference_log_probs(model, source, [0])[0].exp()
    outcomes = {(model.eos_token_id,): first[model.eos_token_id].item()}
    for token in range(len(first)):
        if token != model.eos_token_id:
            second = tiny.reference_log_probs(model, source, [token, 0])[1].exp()
            outcomes |= {(token, v): (first[token] * second[v]).item() for v in range(len(second))}
    assert sum(outcomes.values()) == pytest.approx(1, abs=1e-4)
    return outcomes


@torch.no_grad()
def test_samples_come_from_the_models_own_distribution(family):
    """Chi-square of the first two tokens against the exact distribution, in a padded batch."""
    checkpoint = tiny.checkpoint(family, letters="abc", **MILD[family])
    (short, long), _ = tiny.random_pairs(checkpoint, 2, longest=4, seed=3)
    assert len(short) != len(long)
    count = 3000
    samples = ancestral_sample(checkpoint.model, source_batch(checkpoint.model, [short, long] * count), 2, [0])
    for offset, source in ((0, short), (1, long)):
        expected = exact_two_tokens(checkpoint.model, source)
        observed = dict.fromkeys(expected, 0)
        for row in samples.labels[offset::2].tolist():
            observed[tuple(token for token in row if token != IGNORE)] += 1
        large = [o for o, p in expected.items() if p * count >= 5]
        cells = [(observed[o], count * expected[o]) for o in large]
        cells.append((count - sum(c[0] for c in cells), count - sum(c[1] for c in cells)))
        cells = [cell for cell in cells if cell[1] >= 5]
        assert len(cells) > 5
        statistic = sum((o - e) ** 2 / e for o, e in cells)
        assert statistic < chi2.isf(1e-4, len(cells) - 1), cells


def test_sampling_is_without_dropout_and_leaves_the_mode_as_it_was(family):
    checkpoint = tiny.checkpoint(family, **tiny.DROPOUT[family])
    sources, _ = tiny.random_pairs(checkpoint, 20)
    source = source_batch(checkpoint.model, sources)
    checkpoint.model.module.eval()
    without_dropout = ancestral_sample(checkpoint.model, source, 6, [0]).labels
    assert not any(m.training for m in checkpoint.model.module.modules())
    checkpoint.model.module.train()
    for _ in range(2):
        assert torch.equal(ancestral_sample(checkpoint.model, source, 6, [0]).labels, without_dropout)
    assert all(m.training for m in checkpoint.model.module.modules())
    labels = without_dropout.clone()
    logits = [tiny.logits(checkpoint, source, labels) for _ in range(2)]
    assert (logits[0] - logits[1]).abs().max() > 1e-3  # dropout is on again


def test_the_mode_is_restored_after_a_failure(checkpoint, batch):
    checkpoint.model.module.train()

    def broken(*_):
        raise RuntimeError("out of memory")

    checkpoint.model.step = broken
    with pytest.raises(RuntimeError):
        ancestral_sample(checkpoint.model, batch[2], 3, [0])
    assert checkpoint.model.module.training


def test_the_seed_decides_the_samples(checkpoint, batch):
    source = source_batch(checkpoint.model, batch[0] * 5)

    def one_sample(seed):
        return ancestral_sample(checkpoint.model, source, 5, [seed]).labels

    first = one_sample(1)
    torch.rand(3)  # the global generator has no say
    assert torch.equal(first, one_sample(1))
    other = one_sample(2)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_as_labels_goes_by_order_and_not_by_the_pad_token():
    eos = pad = 7
    samples = as_labels(torch.tensor([[1, 2, eos, pad, pad], [1, pad, pad, pad, pad], [1, 2, 3, 4, 5]]), [eos])
    i = IGNORE
    assert samples.labels.tolist() == [[1, 2, 7, i, i], [1, 7, i, i, i], [1, 2, 3, 4, 5]]
    assert samples.finished.tolist() == [True, True, False]
