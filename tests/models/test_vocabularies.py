"""Embeddings with more rows than the tokenizer has tokens, and students with a vocabulary of their own."""

import copy

import pytest
import tiny
import torch
from fdistill.data.batches import label_batch, source_batch
from fdistill.data.limits import Limits
from fdistill.data.reencoding import reencoded
from fdistill.losses.objectives import Objective
from fdistill.losses.step_losses import LOSSES
from fdistill.models.architectures import wrap
from fdistill.models.checkpoints import Checkpoint, load, save
from fdistill.models.tokenization import token_count
from fdistill.models.vocabularies import check_same_vocabulary, difference, have_one_tokenizer, with_tokenizer_of
from fdistill.runtime.errors import UserError
from fdistill.sampling.ctranslate2_engine import CTranslate2
from fdistill.sampling.sampler import SamplingConfig, sample_batch, sequence_log_probs
from fdistill.sampling.teacher_cache import _columns
from fdistill.training.batch_loss import Models, SequenceOutputs, batch_loss

PADDED = ("bart", "t5", "gpt2")
TERMS = [
    {"sequences": "teacher_samples", "loss": name, "weight": 0.5}
    for name, loss in LOSSES.items()
    if not loss.compares_layers and name != "policy_gradient"
]


def padded(family: str, rows: int, seed: int = 0, double: bool = False) -> Checkpoint:
    """A random model with spare rows whose logits would be the largest of all."""
    made = tiny.checkpoint(family, seed=seed)
    module = copy.deepcopy(made.model.module)
    module.resize_token_embeddings(module.config.vocab_size + rows, mean_resizing=False)
    with torch.no_grad():
        weights = module.get_output_embeddings().weight
        weights[-rows:] = 4 * weights[:rows]
    module = (module.double() if double else module).eval()
    return Checkpoint(wrap(module, made.model.decoder_prompt or None, token_count(made.tokenizer)), made.tokenizer)


@pytest.mark.parametrize("family", PADDED)
def test_spare_rows_have_no_probability_anywhere(family):
    plain, wide = tiny.checkpoint(family), padded(family, 5)
    sources, targets = tiny.random_pairs(plain, 4)
    source, labels = source_batch(plain.model, sources), label_batch(targets, plain.model.device)
    torch.testing.assert_close(tiny.logits(wide, source, labels), tiny.logits(plain, source, labels))
    torch.testing.assert_close(*(sequence_log_probs(made.model, source, labels) for made in (plain, wide)))
    for mode, options in (("ancestral", {}), ("beam", {"num_beams": 3})):
        sampling = SamplingConfig(6, mode, options)
        samples = [sample_batch(made.model, source, sampling, (1, 2)).labels for made in (plain, wide)]
        torch.testing.assert_close(*samples)
    nucleus = sample_batch(wide.model, source, SamplingConfig(6, "nucleus", {"top_p": 0.99}), (1, 2))
    assert nucleus.labels.max() < wide.model.vocabulary
    tokens, _ = _columns(wide.model, wide.model.decode(wide.model.encode(source), labels).states, "topk", 99)
    assert tokens.shape[1] == wide.model.vocabulary == token_count(wide.tokenizer)


@pytest.mark.parametrize("family", PADDED)
def test_a_saved_checkpoint_is_read_without_its_spare_rows(family, tmp_path):
    wide = padded(family, 3)
    save(wide, tmp_path / "wide")
    again = load(tmp_path / "wide")
    assert again.model.vocabulary == again.model.module.config.vocab_size - 3


@pytest.mark.parametrize("family", PADDED)
def test_ctranslate2_gives_spare_rows_no_probability(family):
    wide = padded(family, 5)
    engine = CTranslate2(wide.model)  # which compares log-probabilities
    source = source_batch(wide.model, tiny.random_pairs(wide, 4)[0])
    samples = engine.sample_batch(source, SamplingConfig(6), (1,), range(4))
    assert samples.labels.max() < wide.model.vocabulary


@pytest.mark.parametrize("family", ["bart", "gpt2"])
def test_losses_over_the_shared_tokens_are_those_of_whole_distributions_in_float64(family):
    """Teacher and student have other numbers of rows; the reference takes softmaxes of the tokens' own logits alone."""
    teacher, student = padded(family, 7, seed=1, double=True), padded(family, 2, seed=2, double=True)
    check_same_vocabulary(teacher, student)
    sources, targets = tiny.random_pairs(teacher, 3)
    source, labels = source_batch(teacher.model, sources), label_batch(targets, teacher.model.device)
    states = [made.model.decode(made.model.encode(source), labels).states for made in (teacher, student)]
    count = token_count(teacher.tokenizer)
    valid = labels != -100

    def loss(names):
        terms = [term for term in TERMS if term["loss"] in names]
        outputs = SequenceOutputs(labels, states[1], source_mask=source.attention_mask)
        outputs.teacher_states = states[0].detach()
        counts = {"teacher_samples": {"labels": int(valid.sum()), "examples": 3}}
        models = Models(student.model, teacher.model, torch.autocast("cpu", enabled=False))
        return batch_loss(Objective.from_config(terms), {"teacher_samples": outputs}, counts, models)

    raw = [
        made.model.module.get_output_embeddings()(s)[:, :count]
        for made, s in zip((teacher, student), states, strict=True)
    ]
    bias = getattr(teacher.model.module, "final_logits_bias", None)
    assert bias is None or not bias.any()
    p, q = (logits.softmax(-1) for logits in raw)
    expected = {
        "nll": -q.gather(-1, labels[valid].unsqueeze(-1)).log().mean(),
        "kl": (p * (p / q).log()).sum(-1).mean(),
        "rkl": (q * (q / p).log()).sum(-1).mean(),
        "tvd": 0.5 * (p - q).abs().sum(-1).mean(),
        "energy": -(q * p.log()).sum(-1).mean(),
    }
    for name, value in expected.items():
        assert loss([name]).item() == pytest.approx(0.5 * value.item(), rel=1e-10)
    total = loss([term["loss"] for term in TERMS])
    total.backward()
    gradient = student.model.module.get_output_embeddings().weight.grad
    assert torch.isfinite(total) and gradient[:count].abs().sum() > 0
    assert not gradient[count:].any()


def test_a_vocabulary_is_compared_by_its_tokens_and_not_by_the_rows():
    teacher, student = padded("gpt2", 7), padded("gpt2", 2)
    assert difference(teacher, student) is None and have_one_tokenizer(teacher, student)
    other = tiny.checkpoint("gpt2", letters="abc")
    with pytest.raises(UserError, match=r"different vocabularies \(11 and 6 tokens\).*own_tokenizer: true.*seqkd"):
        check_same_vocabulary(teacher, other)


def test_a_student_with_the_same_tokens_gets_the_teachers_special_ones():
    teacher, student = tiny.checkpoint("gpt2"), padded("gpt2", 2, seed=3)
    teacher.config.eos_token_id = [teacher.tokenizer.eos_token_id, teacher.tokenizer.convert_tokens_to_ids("b")]
    student.tokenizer.eos_token = "a"
    student.model.module.config.eos_token_id = student.tokenizer.eos_token_id
    with pytest.raises(UserError, match=r"same vocabulary, but other special tokens.*start_student"):
        check_same_vocabulary(teacher, student)
    made = with_tokenizer_of(teacher, student)
    check_same_vocabulary(teacher, made)
    assert made.model.eos_token_id == teacher.tokenizer.eos_token_id != student.tokenizer.eos_token_id
    assert made.model.ends == teacher.model.ends == tuple(made.model.module.generation_config.eos_token_id)


def test_models_that_read_sources_otherwise_are_refused():
    teacher, student = tiny.checkpoint("bart"), tiny.checkpoint("gpt2")
    student.tokenizer = teacher.tokenizer
    with pytest.raises(UserError, match=r"one of teacher and student has an encoder.*own_tokenizer"):
        with_tokenizer_of(teacher, student)


def test_sequences_are_encoded_again_and_stay_unfinished(caplog):
    teacher, student = tiny.tokenizer("bart"), tiny.tokenizer("t5", letters="hgfedcb")
    teacher.add_special_tokens({"additional_special_tokens": ["<|end|>"]})
    eos, other, ids = teacher.eos_token_id, teacher.convert_tokens_to_ids("<|end|>"), teacher.convert_tokens_to_ids
    sequences = [[[*ids(["b", "c"]), eos], ids(["d", "e"])], [[*ids(list("bcdefg")), eos], [*ids(["a", "b"]), other]]]
    caplog.set_level("INFO")
    made = reencoded(sequences, teacher, (eos, other), student, Limits(16, 5), "beam.parquet")
    words = [[student.convert_ids_to_tokens(row) for row in rows] for rows in made]
    assert words[0] == [["b", "c", "</s>"], ["d", "e"]]
    assert words[1][0] == list("bcdef")
    assert words[1][1] == ["<unk>", "b", "</s>"]
    assert "beam.parquet: 4 sequences" in caplog.text
    assert "1 texts are not restored (blanks aside), 1 are cut to 5 tokens" in caplog.text
