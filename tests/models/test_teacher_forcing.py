"""Teacher forcing in every family, against transformers called directly, one example at a time, unpadded."""

import pytest
import tiny
import torch
from fdistill.data.batches import label_batch, source_batch
from fdistill.losses.inputs import IGNORE, LABELS, LossInputs
from fdistill.losses.objectives import Term
from fdistill.models.language_model import Source
from fdistill.sampling.sampler import as_labels, sequence_log_probs


def mean_nll(model, source, labels):
    inputs = LossInputs(labels, model.logits(model.decode(model.encode(source), labels).states))
    return Term("ground_truth", "nll").evaluate(inputs, {LABELS: int((labels != IGNORE).sum())})


def test_padded_batch_equals_each_example_alone(checkpoint, batch):
    """Logits of every valid position, and hidden states at the same positions."""
    sources, targets, source, labels = batch
    context = checkpoint.model.encode(source, hidden=True)
    decoded = checkpoint.model.decode(context, labels, hidden=True)
    logits = checkpoint.model.logits(decoded.states).split([len(target) for target in targets])
    for row, (one, target) in enumerate(zip(sources, targets, strict=True)):
        expected = tiny.reference_log_probs(checkpoint.model, one, target)
        torch.testing.assert_close(logits[row].log_softmax(-1), expected, rtol=1e-4, atol=1e-4)
        outputs = tiny.reference_outputs(checkpoint.model, one, target)
        if checkpoint.model.family.is_encoder_decoder:
            states, begin = outputs.decoder_hidden_states, 0
            for ours, theirs in zip(context.hidden_states, outputs.encoder_hidden_states, strict=True):
                torch.testing.assert_close(ours[row, : len(one)], theirs[0], rtol=1e-4, atol=1e-4)
        else:
            states, begin = outputs.hidden_states, len(one) - 1
            assert context.hidden_states == ()
        for ours, theirs in zip(decoded.hidden_states, states, strict=True):
            expected = theirs[0, begin : begin + len(target)]
            torch.testing.assert_close(ours[row, : len(target)], expected, rtol=1e-4, atol=1e-4)


def test_loss_is_transformers_own(checkpoint, batch):
    """Encoder-decoder: the model's loss on labels. Decoder-only: shifted cross-entropy by hand."""
    sources, targets, source, labels = batch
    if checkpoint.model.family.is_encoder_decoder:
        expected = checkpoint.model.module(
            input_ids=source.input_ids, attention_mask=source.attention_mask, labels=labels
        ).loss
    else:
        losses = []
        for one, target in zip(sources, targets, strict=True):
            tokens = torch.tensor([one + target])
            logits = checkpoint.model.module(tokens).logits[0, :-1]  # index i predicts token i + 1
            losses.append(torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none")[len(one) - 1 :])
        expected = torch.cat(losses).mean()
        assert len(torch.cat(losses)) == sum(map(len, targets))  # no prompt token, nothing after EOS
    torch.testing.assert_close(mean_nll(checkpoint.model, source, labels), expected, rtol=1e-4, atol=1e-5)


def test_first_target_token_counts_and_is_predicted_from_the_source_alone(checkpoint, batch):
    """T5's start token is its pad token, GPT-2's first prediction stands at the last source token."""
    sources, targets, *_ = batch
    source, target = sources[0], targets[0][:1]
    padded, labels = source_batch(checkpoint.model, [source, sources[1]]), label_batch([target, targets[1]], "cpu")
    forced = tiny.logits(checkpoint, padded, labels)
    if checkpoint.model.family.is_encoder_decoder:
        start = torch.tensor([[checkpoint.model.decoder_start_token_id]])
        logits = checkpoint.model.module(input_ids=torch.tensor([source]), decoder_input_ids=start).logits[0, -1]
    else:
        logits = checkpoint.model.module(torch.tensor([source])).logits[0, -1]
    torch.testing.assert_close(forced[0, 0], logits, rtol=1e-4, atol=1e-4)
    assert (
        LossInputs(labels, forced[labels != IGNORE]).mask(LABELS).sum(1) == torch.tensor([1, len(targets[1])])
    ).all()
    nll = -sequence_log_probs(checkpoint.model, padded, labels)
    assert nll[0, 0].item() == pytest.approx(-logits.log_softmax(-1)[target[0]].item(), rel=1e-4)
    assert (nll[0, 1:] == 0).all()


def test_nothing_after_eos_counts(checkpoint, batch):
    """Two continuations after EOS are one sequence, whatever the pad token is."""
    sources, *_ = batch
    eos, (a, b, *_) = checkpoint.model.eos_token_id, tiny.letter_ids(checkpoint)
    source = source_batch(checkpoint.model, sources[:2])
    losses = []
    for rest in ([a, b, a], [b, eos, b], [eos, eos, eos], [checkpoint.model.pad_token_id] * 3):
        tokens = torch.tensor([[a, b, eos, *rest], [b, b, b, a, eos, a]])
        labels = as_labels(tokens, [eos]).labels
        assert (labels != IGNORE).sum(1).tolist() == [3, 5]
        losses.append(mean_nll(checkpoint.model, source, labels).item())
    assert len(set(losses)) == 1
    unpadded = [
        tiny.reference_nll(checkpoint.model, sources[0], [a, b, eos]),
        tiny.reference_nll(checkpoint.model, sources[1], [b, b, b, a, eos]),
    ]
    assert losses[0] == pytest.approx(sum(unpadded).item() / 8, rel=1e-4)


def test_what_a_position_reads(checkpoint, batch):
    """Position t depends on y_<t and the whole source, and not on y_t or what follows."""
    sources, _, source, _ = batch
    a, b, c, *_ = tiny.letter_ids(checkpoint)

    def decode(row):
        return tiny.logits(checkpoint, source, torch.tensor([row] * len(sources)))

    one, other = decode([a, b, a, c]), decode([a, b, c, b])
    torch.testing.assert_close(one[:, :3], other[:, :3], rtol=1e-4, atol=1e-4)
    assert (one[:, 3] - other[:, 3]).abs().amax(-1).min() > 1e-3
    changed = source.input_ids.clone()
    position = (0, 0) if checkpoint.model.family.is_encoder_decoder else (0, -len(sources[0]))
    changed[position] = a if changed[position] != a else b
    moved = tiny.logits(checkpoint, Source(changed, source.attention_mask), torch.tensor([[a, b]] * len(sources)))
    base = decode([a, b])
    assert (moved[0] - base[0]).abs().max() > 1e-4
    torch.testing.assert_close(moved[1:], base[1:])


def test_sequence_log_probs(checkpoint, batch):
    sources, targets, source, labels = batch
    sums = sequence_log_probs(checkpoint.model, source, labels).sum(-1)
    unpadded = [-tiny.reference_nll(checkpoint.model, s, t).item() for s, t in zip(sources, targets, strict=True)]
    assert sums.tolist() == pytest.approx(unpadded, rel=1e-4)


def test_step_by_step_decoding_equals_teacher_forcing(checkpoint, batch):
    """The sampler's path (key-value cache, growing mask, finished rows left out) has the losses' distributions."""
    _, _, source, labels = batch
    forced = tiny.logits(checkpoint, source, labels)
    logits, state = checkpoint.model.start(checkpoint.model.encode(source))
    unfinished = torch.arange(len(labels))
    for t in range(labels.shape[1]):
        torch.testing.assert_close(logits, forced[unfinished, t], rtol=1e-4, atol=1e-4)
        has_next = t + 1 < labels.shape[1]
        continuing = (labels[unfinished, t + 1] != IGNORE).nonzero().squeeze(1) if has_next else unfinished[:0]
        if len(continuing) == 0:
            break
        checkpoint.model.select_rows(continuing, state)
        unfinished = unfinished[continuing]
        logits = checkpoint.model.step(labels[unfinished, t : t + 1], state)
    assert t + 1 == labels.shape[1] and len(unfinished) < len(labels)
