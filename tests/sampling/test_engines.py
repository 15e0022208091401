"""CTranslate2 against transformers, the reference: the same probabilities, samples and searches, or an error."""

from importlib.metadata import PackageNotFoundError

import pytest
import tiny
import torch
from fdistill.artifacts.batch_store import BatchStore
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.models.architectures import wrap
from fdistill.models.families import FAMILIES
from fdistill.runtime.errors import UserError
from fdistill.sampling import ctranslate2_conversion, engines, offline
from fdistill.sampling.ctranslate2_engine import CTranslate2
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS
from fdistill.sampling.engines import engine_for
from fdistill.sampling.sampler import SamplingConfig, sequence_log_probs
from model_cases import CONVERTIBLE, convertible
from scipy.stats import chisquare

SEED = (0, 1, 0)
BEAMS = {"num_beams": 4, "early_stopping": True}


@pytest.fixture(params=CONVERTIBLE)
def family(request):
    """Each family whose models CTranslate2 runs, in turn."""
    return request.param


@pytest.fixture
def checkpoint(family):
    return convertible(family)


def sampled(model, sources, sampling, engine=CTRANSLATE2, seed=SEED, rows=None):
    """Tokens of each row, up to EOS, and whether it is there."""
    rows = range(len(sources)) if rows is None else rows
    samples = engine_for(engine, model, sampling)(source_batch(model, sources), sampling, seed, rows)
    return [[token for token in row if token != IGNORE] for row in samples.labels.tolist()], samples.finished.tolist()


def test_log_probabilities_equal_the_models(checkpoint):
    weights = {name: weight.clone() for name, weight in checkpoint.model.module.state_dict().items()}
    runtime = CTranslate2(checkpoint.model)
    sources, targets = tiny.random_pairs(checkpoint, 12)
    log_probs = runtime._runtime.log_probs(sources, targets)
    for source, target, row in zip(sources, targets, log_probs, strict=True):
        with torch.no_grad():
            expected = tiny.reference_log_probs(checkpoint.model, source, target)
        assert row == pytest.approx([expected[t, token].item() for t, token in enumerate(target)], abs=1e-4)
    for name, weight in checkpoint.model.module.state_dict().items():
        assert torch.equal(weight, weights[name]), name
    assert not hasattr(checkpoint.model.module.config, "normalize_before")


@pytest.mark.parametrize("length", [1, 3])
def test_samples_follow_the_models_distribution(checkpoint, length):
    """2,000 sequences of up to two tokens for one source among others, against their exact probabilities."""
    count, eos = 2000, checkpoint.model.eos_token_id
    sources = tiny.random_pairs(checkpoint, 50)[0]
    source = next(candidate for candidate in sources if len(candidate) > length)
    tokens, _ = sampled(checkpoint.model, [source] * count + sources, SamplingConfig(2))
    vocabulary = range(checkpoint.model.module.config.vocab_size)
    expected = {}
    for first in vocabulary:
        with torch.no_grad():
            p = tiny.reference_log_probs(checkpoint.model, source, [first, 0]).double().exp()
        if first == eos:
            expected[(eos,)] = p[0, eos].item()
        else:
            expected |= {(first, second): (p[0, first] * p[1, second]).item() for second in vocabulary}
    seen = [tuple(row) for row in tokens[:count]]
    assert set(seen) <= expected.keys()
    common = [pair for pair, p in expected.items() if p * count >= 5]
    observed = [seen.count(pair) for pair in common]
    frequencies = [count * expected[pair] for pair in common]
    # the rarer outcomes are one class
    observed, frequencies = [*observed, count - sum(observed)], [*frequencies, count - sum(frequencies)]
    assert chisquare(observed, frequencies).pvalue > 1e-3


@pytest.mark.parametrize(
    "options",
    [{"num_beams": 1}, BEAMS, *(BEAMS | {"length_penalty": penalty} for penalty in (-1.0, 0.5, 2.0))],
    ids=["greedy", "beams", "shorter", "longer", "longest"],
)
def test_a_search_finds_what_the_reference_finds(family, options):
    sampling, lengths = SamplingConfig(8, "beam", options), set()
    for seed in range(4):
        checkpoint = convertible(family, seed)
        sources = tiny.random_pairs(checkpoint, 20)[0]
        tokens, finished = sampled(checkpoint.model, sources, sampling)
        assert (tokens, finished) == sampled(checkpoint.model, sources, sampling, TRANSFORMERS)
        lengths |= {*map(len, tokens)}
    assert len(lengths) > 1  # with EOS, and without


@pytest.mark.parametrize("penalty", [0.5, 1.0, 2.0])
def test_the_best_sequences_of_a_search_are_the_references(family, penalty):
    for seed in range(3):
        checkpoint = convertible(family, seed)
        sources = tiny.random_pairs(checkpoint, 20)[0]
        sampling = SamplingConfig(8, "beam", BEAMS | {"num_return_sequences": 3, "length_penalty": penalty})
        found = sampled(checkpoint.model, sources, sampling)
        assert found == sampled(checkpoint.model, sources, sampling, TRANSFORMERS)
        assert len(found[0]) == 60 and all(len({*map(tuple, found[0][i : i + 3])}) == 3 for i in range(0, 60, 3))


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("nucleus", {"top_p": 1.0, "temperature": 0.5}),
        ("nucleus", {"top_p": 0.8, "temperature": 2.0}),
        ("nucleus", {"top_p": 0.7, "top_k": 6}),
        ("top_k", {"top_k": 4, "temperature": 0.7}),
    ],
)
def test_truncated_samples_follow_their_distribution(checkpoint, mode, options):
    """The first tokens of 2,000 samples; the log-probabilities are left to the model, as they are others."""
    count = 2000
    source = tiny.random_pairs(checkpoint, 5)[0][4]
    sampling, batch = SamplingConfig(1, mode, options), source_batch(checkpoint.model, [source] * count)
    samples = engine_for(CTRANSLATE2, checkpoint.model, sampling)(batch, sampling, SEED, range(count))
    assert samples.log_probs is None
    seen = samples.labels[:, 0].tolist()
    with torch.no_grad():
        expected = tiny.truncated(tiny.reference_log_probs(checkpoint.model, source, [0])[0], **options)
    tiny.check_frequencies(seen, expected)


@pytest.mark.parametrize("sampling", [SamplingConfig(6), SamplingConfig(6, "beam", BEAMS | {"length_penalty": 2.0})])
def test_log_probabilities_come_with_the_sequences(checkpoint, sampling):
    sources = tiny.random_pairs(checkpoint, 12)[0]
    batch = source_batch(checkpoint.model, sources)
    samples = engine_for(CTRANSLATE2, checkpoint.model, sampling)(batch, sampling, SEED, range(12))
    expected = sequence_log_probs(checkpoint.model, batch, samples.labels).sum(-1)
    torch.testing.assert_close(samples.log_probs, expected, atol=1e-4, rtol=1e-5)


def test_without_early_stopping_the_search_differs():
    """The reason why it is refused then: the reference searches on, and finds other sequences."""
    checkpoint = tiny.checkpoint("t5", seed=3)
    sources = tiny.random_pairs(checkpoint, 40)[0]
    late_stop, _ = sampled(checkpoint.model, sources, SamplingConfig(8, "beam", {"num_beams": 4}), TRANSFORMERS)
    assert late_stop != sampled(checkpoint.model, sources, SamplingConfig(8, "beam", BEAMS), TRANSFORMERS)[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_seed_and_the_rows_decide(checkpoint, threads):
    """Whatever was sampled before, by the same runtime or another."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        sources = tiny.random_pairs(checkpoint, 30)[0]
        first = sampled(checkpoint.model, sources, SamplingConfig(6))
        runtime = engine_for(CTRANSLATE2, checkpoint.model, SamplingConfig(6))
        batch = source_batch(checkpoint.model, sources)
        labels = [runtime(batch, SamplingConfig(6), seed, range(30)).labels for seed in ((1,), SEED, SEED)]
        assert torch.equal(labels[1], labels[2])
        assert [[token for token in row if token != IGNORE] for row in labels[1].tolist()] == first[0]
        assert sampled(checkpoint.model, sources, SamplingConfig(6), seed=(0, 2, 0)) != first
        assert sampled(checkpoint.model, sources, SamplingConfig(6), rows=range(1, 31)) != first
    finally:
        torch.set_num_threads(before)


def test_an_interrupted_run_has_the_same_samples(checkpoint, tmp_path):
    sources, ids = tiny.random_pairs(checkpoint, 30)[0], [str(i) for i in range(30)]

    def columns(shards):
        return offline.sample_sequences(checkpoint.model, ids, sources, SamplingConfig(6), 2, 8, 1, shards, CTRANSLATE2)

    whole = columns(BatchStore())
    assert whole == columns(BatchStore(tmp_path))
    first, *others = sorted(tmp_path.glob("samples-*.json"))
    first.unlink()
    assert whole == columns(BatchStore(tmp_path)) and len(others) == 0
    for row in (0, 17, 59):
        source, tokens = sources[row // 2], whole["tokens"][row]
        with torch.no_grad():
            expected = -tiny.reference_nll(checkpoint.model, source, tokens).item()
        assert whole["log_prob"][row] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("prompt", [[3], [1, 3]], ids=["code", "eos_code"])
def test_a_decoder_prompt_is_given_and_not_sampled(prompt):
    """mBART's language codes."""
    checkpoint = tiny.checkpoint("mbart", seed=3)
    model = wrap(checkpoint.model.module, prompt)
    sources, _ = tiny.random_pairs(checkpoint, 20)
    runtime = CTranslate2(model)
    assert runtime.prefix == prompt[1:]
    for engine in (CTRANSLATE2, TRANSFORMERS):
        tokens, _ = sampled(model, sources, greedy := SamplingConfig(5, "beam", {"num_beams": 1}), engine)
        assert tokens == sampled(model, sources, greedy, TRANSFORMERS)[0] and max(map(len, tokens)) <= 5
    assert runtime._largest_difference() < 1e-4
    if len(prompt) > 1:
        with pytest.raises(UserError, match="its beam search differs after a decoder prompt of several tokens"):
            engine_for(CTRANSLATE2, model, SamplingConfig(5, "beam", BEAMS))


@pytest.mark.parametrize(
    ("sampling", "reason"),
    [
        (
            SamplingConfig(6, "beam_sample", {"num_beams": 2}),
            "mode: only engine transformers samples by beam_sample; use it, or a mode of ancestral, top_k, nucleus",
        ),
        (
            SamplingConfig(6, "nucleus", {"top_p": 0.9, "no_repeat_ngram_size": 2}),
            "no_repeat_ngram_size: not supported by engine ctranslate2",
        ),
        (SamplingConfig(6, "beam", {"num_beams": 2}), "early_stopping: .* set early_stopping: true, or use engine"),
        (
            SamplingConfig(6, "beam", {"num_beams": 1, "min_new_tokens": 2}),
            "min_new_tokens: not supported by engine ctranslate2",
        ),
        (
            SamplingConfig(6, "beam", {"num_beams": 1, "do_sample": True}),
            "do_sample: not supported by engine ctranslate2",
        ),
    ],
)
def test_settings_that_it_does_not_support_are_refused(sampling, reason):
    with pytest.raises(UserError, match=reason):
        engine_for(CTRANSLATE2, tiny.checkpoint("bart").model, sampling)


def test_a_model_that_it_cannot_run_is_refused():
    model = tiny.checkpoint("bart", activation_function="tanh").model
    with pytest.raises(UserError, match=r"cannot run this model \(KeyError: 'tanh'\); use engine transformers"):
        CTranslate2(model)
    model = tiny.checkpoint("gpt2", scale_attn_by_inverse_layer_idx=True).model
    with pytest.raises(UserError, match="its log-probabilities differ from the model's by up to"):
        CTranslate2(model)
    model.is_sharded = True
    with pytest.raises(UserError, match="needs all weights of the model, which is sharded over GPUs"):
        CTranslate2(model)


def test_families_and_texts_that_it_does_not_compute_are_refused():
    for family in FAMILIES.keys() - CONVERTIBLE:
        with pytest.raises(UserError, match=f"a converted {family} model fails or computes something else; use engine"):
            CTranslate2(tiny.checkpoint(family).model)
    for family in ("mistral", "gemma3_text"):
        checkpoint = tiny.checkpoint(family, sliding_window=14)
        source = tiny.letter_ids(checkpoint)[:6]
        sampled(checkpoint.model, [source], SamplingConfig(8))
        with pytest.raises(UserError, match="texts of 16 tokens are longer than the model's sliding window, 14"):
            sampled(checkpoint.model, [source], SamplingConfig(10))


def test_it_stops_at_any_end_token():
    """A second end token that is likely: the runtimes agree on every sequence, and both end at it."""
    checkpoint = tiny.checkpoint("llama", seed=3)
    first, *_ = tiny.letter_ids(checkpoint)
    checkpoint.model.module.config.eos_token_id = [checkpoint.model.eos_token_id, first]
    model, (sources, _) = wrap(checkpoint.model.module), tiny.random_pairs(checkpoint, 20)
    for options in ({"num_beams": 1}, BEAMS):
        sampling = SamplingConfig(8, "beam", options)
        tokens, finished = sampled(model, sources, sampling)
        assert (tokens, finished) == sampled(model, sources, sampling, TRANSFORMERS)
        assert any(row[-1] == first for row in tokens) and all(first not in row[:-1] for row in tokens)
        assert finished == [row[-1] in model.ends for row in tokens]


def test_a_missing_package_is_reported_before_any_work(monkeypatch):
    assert engines.version_of(TRANSFORMERS) == {} and engines.version_of(CTRANSLATE2).keys() == {CTRANSLATE2}

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(ctranslate2_conversion, "version", missing)
    for attempt in (lambda: engines.version_of(CTRANSLATE2), lambda: CTranslate2(tiny.checkpoint("bart").model)):
        with pytest.raises(UserError, match="not installed; pip install ctranslate2; use engine transformers"):
            attempt()
