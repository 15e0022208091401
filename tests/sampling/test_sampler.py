"""Sampling by mode: what each mode returns, which random numbers it uses, and that nothing else is disturbed."""

import pytest
import tiny
import torch
from fdistill.config.schema import fill_defaults, section
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import Source
from fdistill.runtime.errors import UserError
from fdistill.sampling.modes import MODES, SEARCHES
from fdistill.sampling.sampler import SamplingConfig, _inverse_cdf, ancestral_sample, mixed_seed, sample_batch

CONFIGS = [
    SamplingConfig(6),
    SamplingConfig(6, "top_k", {"top_k": 4}),
    SamplingConfig(6, "nucleus", {"top_p": 0.9, "top_k": 6}),
    SamplingConfig(6, "beam", {"num_beams": 2}),
    SamplingConfig(6, "diverse_beam", {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}),
    SamplingConfig(6, "beam_sample", {"num_beams": 2, "top_k": 5}),
]
RANDOM = [sampling for sampling in CONFIGS if sampling.mode not in SEARCHES]


def by_mode(sampling):
    return sampling.mode


@pytest.fixture
def checkpoint(family):
    return tiny.checkpoint(family, **tiny.DROPOUT[family])


@pytest.fixture
def source(checkpoint):
    return source_batch(checkpoint.model, tiny.random_pairs(checkpoint, 12)[0])


def test_the_modes_are_all_here():
    assert {sampling.mode for sampling in CONFIGS} == set(MODES)


def test_ancestral_is_the_plain_loop_to_the_bit(checkpoint, source):
    expected = ancestral_sample(checkpoint.model, source, 6, [0])
    got = sample_batch(checkpoint.model, source, SamplingConfig(6), [0])
    assert torch.equal(got.labels, expected.labels) and torch.equal(got.finished, expected.finished)


def test_one_token_kept_and_one_beam_are_greedy(checkpoint, source):
    """Against the argmax of each position, one example at a time."""
    rows = {
        (sampling.mode, i): [token for token in row if token != IGNORE]
        for sampling in (SamplingConfig(5, "top_k", {"top_k": 1}), SamplingConfig(5, "beam", {"num_beams": 1}))
        for i, row in enumerate(sample_batch(checkpoint.model, source, sampling, [0]).labels.tolist())
    }
    checkpoint.model.module.eval()
    for i, (ids, mask) in enumerate(zip(source.input_ids, source.attention_mask.bool(), strict=True)):
        tokens = []
        while len(tokens) < 5 and checkpoint.model.eos_token_id not in tokens:
            with torch.no_grad():
                log_probs = tiny.reference_log_probs(checkpoint.model, ids[mask].tolist(), [*tokens, 0])
            tokens.append(int(log_probs[-1].argmax()))
        assert rows["top_k", i] == rows["beam", i] == tokens


@pytest.mark.parametrize("sampling", RANDOM, ids=by_mode)
def test_the_seed_and_the_rows_alone_decide(checkpoint, source, sampling):
    torch.manual_seed(1)
    first = sample_batch(checkpoint.model, source, sampling, [0]).labels
    torch.manual_seed(2)
    assert torch.equal(sample_batch(checkpoint.model, source, sampling, [0]).labels, first)
    assert not torch.equal(sample_batch(checkpoint.model, source, sampling, [1]).labels, first)
    assert not torch.equal(sample_batch(checkpoint.model, source, sampling, [0], range(1, 13)).labels, first)


@pytest.mark.parametrize("sampling", CONFIGS, ids=by_mode)
def test_dropout_is_off_and_the_global_generator_and_the_mode_are_as_before(checkpoint, source, sampling):
    """The next numbers of the global generator are the dropout of the training step that follows."""
    checkpoint.model.module.eval()
    without_dropout = sample_batch(checkpoint.model, source, sampling, [0]).labels
    checkpoint.model.module.train()
    before = torch.get_rng_state()
    assert torch.equal(sample_batch(checkpoint.model, source, sampling, [0]).labels, without_dropout)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in checkpoint.model.module.modules())


def test_lengths_and_repetitions(checkpoint, source):
    eos = checkpoint.model.eos_token_id
    sampling = SamplingConfig(6, "nucleus", {"top_p": 1.0, "min_new_tokens": 3, "no_repeat_ngram_size": 1})
    for row in sample_batch(checkpoint.model, source, sampling, [0]).labels.tolist():
        tokens = [token for token in row if token != IGNORE]
        assert 3 <= len(tokens) <= 6 and len(set(tokens)) == len(tokens)
        assert eos not in tokens[:-1]


@pytest.mark.parametrize(
    "options", [{"top_p": 1.0, "temperature": 0.5}, {"top_p": 0.8, "temperature": 2.0}, {"top_p": 0.9, "top_k": 4}]
)
def test_a_temperature_and_a_nucleus_give_their_own_distribution(options):
    """The first tokens of 2,000 samples against the probabilities of the definition, in float64."""
    checkpoint, count = tiny.checkpoint("bart", seed=3), 2000
    source = tiny.random_pairs(checkpoint, 5)[0][4]
    batch = source_batch(checkpoint.model, [source] * count)
    labels = sample_batch(checkpoint.model, batch, SamplingConfig(1, "nucleus", options), [0]).labels
    with torch.no_grad():
        expected = tiny.truncated(tiny.reference_log_probs(checkpoint.model, source, [0])[0], **options)
    tiny.check_frequencies(labels[:, 0].tolist(), expected)


def test_settings_of_the_schema():
    filled = fill_defaults({"mode": "beam_sample", "num_beams": 6, "top_k": 30}, section("sampling"))
    assert SamplingConfig.from_settings(filled, 9) == SamplingConfig(9, "beam_sample", {"num_beams": 6, "top_k": 30})
    assert SamplingConfig.from_settings(fill_defaults({"max_new_tokens": 4}, section("sampling")), 9) == SamplingConfig(
        4
    )
    with pytest.raises(UserError, match="max_new_tokens: 10 is more than max_target_tokens, 9"):
        SamplingConfig.from_settings(fill_defaults({"max_new_tokens": 10}, section("sampling")), 9)
    with pytest.raises(UserError, match="mode 'top_k' needs top_k"):
        SamplingConfig.from_settings(fill_defaults({"mode": "top_k"}, section("sampling")), 9)
    with pytest.raises(UserError, match="per_input: 3 is more than num_beams, 2: one search has no more"):
        SamplingConfig.from_settings({"mode": "beam", "num_beams": 2}, 9, per_input=3)
    for longest, given in ((9, {}), (12, {"max_new_tokens": 9})):
        with pytest.raises(UserError, match="min_new_tokens: 10 is more than max_new_tokens, 9; lower it"):
            SamplingConfig.from_settings({"mode": "beam", "num_beams": 3, "min_new_tokens": 10} | given, longest)
    with pytest.raises(UserError, match="min_new_tokens: 10 is more than max_new_tokens, 9; lower it"):
        SamplingConfig.from_decoding({"min_new_tokens": 10, "max_new_tokens": 9})
    assert SamplingConfig.from_settings({"mode": "beam", "num_beams": 3}, 9, per_input=3).per_source == 3
    assert SamplingConfig.from_settings({"mode": "ancestral"}, 9, per_input=3).per_source == 1


def test_a_row_does_not_depend_on_the_rest_of_its_batch(checkpoint, source):
    whole = ancestral_sample(checkpoint.model, source, 6, [0])
    rows = [7, 2, 11]
    smaller = ancestral_sample(
        checkpoint.model, Source(source.input_ids[rows], source.attention_mask[rows]), 6, [0], rows
    )
    shared = min(whole.labels.shape[1], smaller.labels.shape[1])
    assert torch.equal(whole.labels[rows, :shared], smaller.labels[:, :shared])


@pytest.mark.parametrize(
    ("number", "token"), [(0.0, 1), (0.2, 1), (0.25, 2), (0.4999, 2), (0.5, 4), (1 - 2**-53, 4), (1.0, 5)]
)
def test_the_token_of_a_uniform_number(number, token):
    """Of probabilities 0, 1/4, 1/4, 0, 1/2, 0; the number 1, which no generator returns, still has a token."""
    logits = torch.tensor([[0.0, 0.25, 0.25, 0.0, 0.5, 0.0]]).log()
    assert _inverse_cdf(logits, torch.tensor([number], dtype=torch.float64)).item() == token


def test_unlikely_tokens_of_a_large_vocabulary_are_sampled_as_often_as_they_should():
    """50,000 tokens that share a hundredth, behind one that has the rest."""
    logits = torch.cat([torch.tensor([0.99]), torch.full((50_000,), 0.01 / 50_000)]).log().unsqueeze(0)
    numbers = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sampled = torch.cat([_inverse_cdf(logits, number.reshape(1)) for number in numbers])
    rare = sampled[sampled > 0]
    assert 20 <= len(rare) <= 62  # 40 ± 3.5 standard deviations
    assert 20_000 <= rare.double().mean() <= 30_000  # all over the tail


def test_seeds_mixed_from_neighbouring_numbers_differ():
    seeds = [mixed_seed(*key) for key in ((s, n, b) for s in range(5) for n in range(5) for b in range(99))]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)  # torch's CPU generator takes the lower half
    assert all(0 <= seed < 2**64 for seed in seeds)
