"""The families behind one interface, against transformers called directly, one example at a time,
unpadded.
"""

import json

import pytest
import tiny
import torch
import transformers
from fdistill.data.batches import label_batch, source_batch
from fdistill.losses.objectives import IGNORE, LABELS, LossInputs, Term
from fdistill.models.checkpoints import load, save
from fdistill.models.language_model import Source
from fdistill.sampling.sampler import ancestral_sample, as_labels, sequence_log_probs
from scipy.stats import chi2


@pytest.fixture
def made(family):
    return tiny.checkpoint(family)


@pytest.fixture
def batch(made):
    """Sources and targets of unequal lengths, and the same as one padded batch."""
    sources, targets = tiny.random_pairs(made, 6)
    assert len({len(s) for s in sources}) > 2 and len({len(t) for t in targets}) > 2
    return sources, targets, source_batch(made.model, sources), label_batch(targets, "cpu")


def mean_nll(model, source, labels):
    inputs = LossInputs(labels, model.logits(model.decode(model.encode(source), labels).states))
    return Term("ground_truth", "nll").evaluate(inputs, {LABELS: int((labels != IGNORE).sum())})


# --- teacher forcing


def test_save_and_load_round_trip(made, family, tmp_path):
    save(made, tmp_path / "model", {"seed": 0})
    loaded = load(tmp_path / "model")
    assert loaded.model.family is made.model.family
    assert loaded.tokenizer.get_vocab() == made.tokenizer.get_vocab()
    for key, value in made.model.module.state_dict().items():
        assert torch.equal(value, loaded.model.module.state_dict()[key]), key
    text = "a b c d"
    assert loaded.tokenizer(text).input_ids == made.tokenizer(text).input_ids
    for name in ("eos_token_id", "pad_token_id", "decoder_start_token_id"):
        assert getattr(loaded.model, name) == getattr(made.model, name)


def test_padded_batch_equals_each_example_alone(made, batch):
    """Logits of every valid position, and hidden states at the same positions."""
    sources, targets, source, labels = batch
    context = made.model.encode(source, hidden=True)
    decoded = made.model.decode(context, labels, hidden=True)
    logits = made.model.logits(decoded.states).split([len(target) for target in targets])
    for row, (one, target) in enumerate(zip(sources, targets, strict=True)):
        expected = tiny.reference_log_probs(made.model, one, target)
        torch.testing.assert_close(logits[row].log_softmax(-1), expected, rtol=1e-4, atol=1e-4)
        outputs = tiny.reference_outputs(made.model, one, target)
        if made.model.family.is_encoder_decoder:
            states, begin = outputs.decoder_hidden_states, 0
            for ours, theirs in zip(context.hidden_states, outputs.encoder_hidden_states, strict=True):
                torch.testing.assert_close(ours[row, : len(one)], theirs[0], rtol=1e-4, atol=1e-4)
        else:
            states, begin = outputs.hidden_states, len(one) - 1
            assert context.hidden_states == ()
        for ours, theirs in zip(decoded.hidden_states, states, strict=True):
            expected = theirs[0, begin : begin + len(target)]
            torch.testing.assert_close(ours[row, : len(target)], expected, rtol=1e-4, atol=1e-4)


def test_loss_is_transformers_own(made, batch):
    """Encoder-decoder: the model's loss on labels. Decoder-only: shifted cross-entropy by hand."""
    sources, targets, source, labels = batch
    if made.model.family.is_encoder_decoder:
        expected = made.model.module(
            input_ids=source.input_ids, attention_mask=source.attention_mask, labels=labels
        ).loss
    else:
        losses = []
        for one, target in zip(sources, targets, strict=True):
            tokens = torch.tensor([one + target])
            logits = made.model.module(tokens).logits[0, :-1]  # index i predicts token i + 1
            losses.append(torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none")[len(one) - 1 :])
        expected = torch.cat(losses).mean()
        assert len(torch.cat(losses)) == sum(map(len, targets))  # no prompt token, nothing after EOS
    torch.testing.assert_close(mean_nll(made.model, source, labels), expected, rtol=1e-4, atol=1e-5)


def test_first_target_token_counts_and_is_predicted_from_the_source_alone(made, batch):
    """T5's start token is its pad token, GPT-2's first prediction stands at the last source token."""
    sources, targets, *_ = batch
    source, target = sources[0], targets[0][:1]
    padded, labels = source_batch(made.model, [source, sources[1]]), label_batch([target, targets[1]], "cpu")
    forced = tiny.logits(made, padded, labels)
    if made.model.family.is_encoder_decoder:
        start = torch.tensor([[made.model.decoder_start_token_id]])
        logits = made.model.module(input_ids=torch.tensor([source]), decoder_input_ids=start).logits[0, -1]
    else:
        logits = made.model.module(torch.tensor([source])).logits[0, -1]
    torch.testing.assert_close(forced[0, 0], logits, rtol=1e-4, atol=1e-4)
    assert (
        LossInputs(labels, forced[labels != IGNORE]).mask(LABELS).sum(1) == torch.tensor([1, len(targets[1])])
    ).all()
    nll = -sequence_log_probs(made.model, padded, labels)
    assert nll[0, 0].item() == pytest.approx(-logits.log_softmax(-1)[target[0]].item(), rel=1e-4)
    assert (nll[0, 1:] == 0).all()


def test_nothing_after_eos_counts(made, batch):
    """Two continuations after EOS are one sequence, whatever the pad token is."""
    sources, *_ = batch
    eos, (a, b, *_) = made.model.eos_token_id, tiny.letter_ids(made)
    source = source_batch(made.model, sources[:2])
    losses = []
    for rest in ([a, b, a], [b, eos, b], [eos, eos, eos], [made.model.pad_token_id] * 3):
        tokens = torch.tensor([[a, b, eos, *rest], [b, b, b, a, eos, a]])
        labels = as_labels(tokens, eos).labels
        assert (labels != IGNORE).sum(1).tolist() == [3, 5]
        losses.append(mean_nll(made.model, source, labels).item())
    assert len(set(losses)) == 1
    alone = [
        tiny.reference_nll(made.model, sources[0], [a, b, eos]),
        tiny.reference_nll(made.model, sources[1], [b, b, b, a, eos]),
    ]
    assert losses[0] == pytest.approx(sum(alone).item() / 8, rel=1e-4)


def test_what_a_position_reads(made, batch):
    """Position t depends on y_<t and the whole source, and not on y_t or what follows."""
    sources, _, source, _ = batch
    a, b, c, *_ = tiny.letter_ids(made)

    def decode(row):
        return tiny.logits(made, source, torch.tensor([row] * len(sources)))

    one, other = decode([a, b, a, c]), decode([a, b, c, b])
    torch.testing.assert_close(one[:, :3], other[:, :3], rtol=1e-4, atol=1e-4)
    assert (one[:, 3] - other[:, 3]).abs().amax(-1).min() > 1e-3
    changed = source.input_ids.clone()
    position = (0, 0) if made.model.family.is_encoder_decoder else (0, -len(sources[0]))
    changed[position] = a if changed[position] != a else b
    moved = tiny.logits(made, Source(changed, source.attention_mask), torch.tensor([[a, b]] * len(sources)))
    base = decode([a, b])
    assert (moved[0] - base[0]).abs().max() > 1e-4
    torch.testing.assert_close(moved[1:], base[1:])


def test_sequence_log_probs(made, batch):
    sources, targets, source, labels = batch
    sums = sequence_log_probs(made.model, source, labels).sum(-1)
    alone = [-tiny.reference_nll(made.model, s, t).item() for s, t in zip(sources, targets, strict=True)]
    assert sums.tolist() == pytest.approx(alone, rel=1e-4)


def test_step_by_step_decoding_equals_teacher_forcing(made, batch):
    """The sampler's path (key-value cache, growing mask, ended rows left out) gives the losses' distributions."""
    _, _, source, labels = batch
    forced = tiny.logits(made, source, labels)
    logits, state = made.model.start(made.model.encode(source))
    going = torch.arange(len(labels))
    for t in range(labels.shape[1]):
        torch.testing.assert_close(logits, forced[going, t], rtol=1e-4, atol=1e-4)
        goes_on = (labels[going, t + 1] != IGNORE).nonzero().squeeze(1) if t + 1 < labels.shape[1] else going[:0]
        if len(goes_on) == 0:
            break
        made.model.select_rows(goes_on, state)
        going = going[goes_on]
        logits = made.model.step(labels[going, t : t + 1], state)
    assert t + 1 == labels.shape[1] and len(going) < len(labels)


# --- sampling


# A milder initialisation: distributions with many outcomes of enough mass.
MILD = {
    **tiny.for_kin({"init_std": 0.15}),
    "t5": {"initializer_factor": 0.7},
    "gpt2": {"initializer_range": 0.15},
}


def test_samples_stop_at_the_first_eos(family):
    made = tiny.checkpoint(family, letters="abc", **MILD[family])
    eos = made.model.eos_token_id
    sources, _ = tiny.random_pairs(made, 200)
    samples = ancestral_sample(made.model, source_batch(made.model, sources), 5, [0])
    seen = {True: 0, False: 0}
    for row, finished in zip(samples.labels.tolist(), samples.finished.tolist(), strict=True):
        tokens = [token for token in row if token != IGNORE]
        assert row == tokens + [IGNORE] * (len(row) - len(tokens))
        assert eos not in tokens[:-1]
        assert finished == (tokens[-1] == eos)
        assert finished or len(tokens) == 5
        seen[finished] += 1
    assert min(seen.values()) > 5  # both kinds occurred


def test_sampling_ends_when_every_row_has(made, batch):
    """A model that always ends at once: one column, and no further step is run."""
    model = made.model
    start = model.start

    def only_eos(context):
        logits, state = start(context)
        model.step = None  # is not to be called
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
    made = tiny.checkpoint(family, letters="abc", **MILD[family])
    (short, long), _ = tiny.random_pairs(made, 2, longest=4, seed=3)
    assert len(short) != len(long)
    count = 3000
    samples = ancestral_sample(made.model, source_batch(made.model, [short, long] * count), 2, [0])
    for offset, source in ((0, short), (1, long)):
        expected = exact_two_tokens(made.model, source)
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
    made = tiny.checkpoint(family, **tiny.DROPOUT[family])
    sources, _ = tiny.random_pairs(made, 20)
    source = source_batch(made.model, sources)
    made.model.module.eval()
    still = ancestral_sample(made.model, source, 6, [0]).labels
    assert not any(m.training for m in made.model.module.modules())
    made.model.module.train()
    for _ in range(2):
        assert torch.equal(ancestral_sample(made.model, source, 6, [0]).labels, still)
    assert all(m.training for m in made.model.module.modules())
    labels = still.clone()
    logits = [tiny.logits(made, source, labels) for _ in range(2)]
    assert (logits[0] - logits[1]).abs().max() > 1e-3  # dropout is on again


def test_the_mode_is_restored_after_a_failure(made, batch):
    made.model.module.train()

    def broken(*_):
        raise RuntimeError("out of memory")

    made.model.step = broken
    with pytest.raises(RuntimeError):
        ancestral_sample(made.model, batch[2], 3, [0])
    assert made.model.module.training


def test_the_seed_decides_the_draw(made, batch):
    source = source_batch(made.model, batch[0] * 5)

    def one_sample(seed):
        return ancestral_sample(made.model, source, 5, [seed]).labels

    first = one_sample(1)
    torch.rand(3)  # the global generator has no say
    assert torch.equal(first, one_sample(1))
    other = one_sample(2)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_as_labels_goes_by_order_and_not_by_the_pad_token():
    eos = pad = 7
    samples = as_labels(torch.tensor([[1, 2, eos, pad, pad], [1, pad, pad, pad, pad], [1, 2, 3, 4, 5]]), eos)
    i = IGNORE
    assert samples.labels.tolist() == [[1, 2, 7, i, i], [1, 7, i, i, i], [1, 2, 3, 4, 5]]
    assert samples.finished.tolist() == [True, True, False]


# --- generation settings do not leak

POISON = {
    "no_repeat_ngram_size": 2,
    "min_length": 5,
    "num_beams": 3,
    "length_penalty": 5.0,
    "early_stopping": True,
    "do_sample": True,
    "temperature": 0.2,
    "top_k": 5,
    "top_p": 0.9,
    "repetition_penalty": 3.0,
}


@pytest.fixture
def poisoned(made, tmp_path):
    """The same weights beside generation settings, old and new style, that change everything they touch."""
    save(made, tmp_path / "poisoned")
    a, b, c, *_ = tiny.letter_ids(made)
    poison = POISON | {"forced_bos_token_id": a, "forced_eos_token_id": b, "suppress_tokens": [c]}
    path = tmp_path / "poisoned/generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | poison))
    path = tmp_path / "poisoned/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"forced_bos_token_id": a, "forced_eos_token_id": b}))
    return tmp_path / "poisoned"


def raw(made, folder):
    """What transformers itself loads, with nothing of ours around it."""
    return getattr(transformers, made.model.family.model_class).from_pretrained(folder).eval()


DECODING = [
    {"num_beams": 1},
    {"num_beams": 4},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True},
    {"num_beams": 3, "min_new_tokens": 4},
]


def test_a_checkpoints_generation_settings_change_nothing(made, batch, poisoned):
    source = batch[2]
    loaded = load(poisoned).model
    torch.manual_seed(0)
    draws = ancestral_sample(made.model, source, 6, [0]).labels
    assert torch.equal(ancestral_sample(loaded, source, 6, [0]).labels, draws)
    for decoding in DECODING:
        clean = made.model.generate(source, max_new_tokens=6, do_sample=False, **decoding)
        assert torch.equal(loaded.generate(source, max_new_tokens=6, do_sample=False, **decoding), clean)
    # the poison works: transformers left to itself does something else
    module = raw(made, poisoned)
    ids = module.generate(input_ids=source.input_ids, attention_mask=source.attention_mask, max_new_tokens=6)
    ids = ids[:, 1 if made.model.family.is_encoder_decoder else source.input_ids.shape[1] :]
    clean = made.model.generate(source, max_new_tokens=6)
    assert ids.shape != clean.shape or not torch.equal(ids, clean)


def test_a_saved_model_carries_no_generation_settings(poisoned, tmp_path):
    save(load(poisoned), tmp_path / "again")
    written = json.loads((tmp_path / "again/generation_config.json").read_text())
    assert not set(written) & {*POISON, "forced_bos_token_id", "suppress_tokens"}


@pytest.mark.parametrize("decoding", DECODING)
def test_generate_is_transformers_own_under_the_same_settings(made, batch, decoding, tmp_path):
    """Encoder-decoder outputs begin after the start token, decoder-only outputs after the prompt."""
    sources, _, source, _ = batch
    save(made, tmp_path / "model")
    module = raw(made, tmp_path / "model")
    config = transformers.GenerationConfig(
        max_new_tokens=6,
        do_sample=False,
        bos_token_id=made.model.module.config.bos_token_id,
        eos_token_id=made.model.eos_token_id,
        pad_token_id=made.model.pad_token_id,
        decoder_start_token_id=made.model.decoder_start_token_id,
        **decoding,
    )
    ours = as_labels(
        made.model.generate(source, max_new_tokens=6, do_sample=False, **decoding), made.model.eos_token_id
    )
    for row, one in enumerate(sources):  # alone, unpadded
        ids = torch.tensor([one])
        output = module.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)[
            0
        ].tolist()
        output = output[1:] if made.model.family.is_encoder_decoder else output[len(one) :]
        if made.model.eos_token_id in output:
            output = output[: output.index(made.model.eos_token_id) + 1]
        assert [token for token in ours.labels[row].tolist() if token != IGNORE] == output


@torch.no_grad()
def test_drawing_with_generate_is_not_cut_to_the_likeliest_tokens(family):
    """transformers keeps the 50 likeliest tokens unless told otherwise; here 200 are as likely."""
    flat = {
        **tiny.for_kin({"init_std": 1e-3}),
        "t5": {"initializer_factor": 1e-2},
        "gpt2": {"initializer_range": 1e-3},
    }
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 200)]
    made = tiny.checkpoint(family, letters=letters, **flat[family])
    source = source_batch(made.model, [tiny.letter_ids(made)[:3]] * 400)
    torch.manual_seed(0)
    ids = made.model.generate(source, max_new_tokens=1, do_sample=True)
    assert len(set(ids[:, 0].tolist())) > 120
