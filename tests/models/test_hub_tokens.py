"""Published checkpoints: EOS, tokens beyond the tokenizer, pad tokens, and mBART's languages."""

import pytest
import torch
from fdistill.data.batches import source_batch
from fdistill.data.encoding import encode_split
from fdistill.data.limits import Limits
from fdistill.losses.objectives import Objective
from fdistill.losses.step_losses import LOSSES
from fdistill.models.checkpoints import load, save
from fdistill.models.students import init_student
from fdistill.runtime.errors import UserError
from fdistill.sampling.offline import generate_texts
from fdistill.sampling.sampler import SamplingConfig, ancestral_sample
from fdistill.training.micro_batches import TrainingData
from fdistill.training.trainer import Trainer
from hub_cases import LIMITS, SPLIT_COLUMNS, encoded, fresh, logits_of, positions_of, raw, raw_logits, teacher_of
from hub_checkpoints import HUB, OTHER_TEXTS, TEXTS
from tiny import settings

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


# --- tokens


def test_targets_end_in_their_only_eos(hub, name):
    """It is so even if the text spells out "</s>", which a sentencepiece vocabulary would read as the token."""
    checkpoint = teacher_of(hub, name)
    eos = checkpoint.tokenizer.eos_token
    split = SPLIT_COLUMNS | {"references": [["o zi"], [f"un om {eos} bun"], [""]]}
    targets = encode_split(split, checkpoint.tokenizer, LIMITS, "train").targets
    for target in targets:
        assert target.index(checkpoint.model.eos_token_id) == len(target) - 1
    words = checkpoint.tokenizer.decode(targets[1], skip_special_tokens=True).split()
    assert words[:2] == ["un", "om"] and words[-1] == "bun"


def test_a_special_token_spelt_out_in_a_source_is_text(hub, name):
    """Plain sources have the tokens that the tokenizer itself produces; spelt-out ones add no special token."""
    checkpoint = teacher_of(hub, name)
    tokenizer = checkpoint.tokenizer
    tokens = [token for token in tokenizer.all_special_tokens if token != "<unk>"]
    split = SPLIT_COLUMNS | {"source": [TEXTS[0], f"a {tokens[0]} b {tokens[-1]}", ""]}
    plain, spelt, blank = encode_split(split, tokenizer, Limits(80, 80, source_suffix=""), "train").sources
    assert plain == tokenizer(TEXTS[0]).input_ids
    special = set(tokenizer.convert_tokens_to_ids(tokens))
    assert [token for token in spelt if token in special] == blank


def test_text_survives_the_tokenizer(hub, name):
    """It survives in the target's language too: Marian has a sentencepiece model per language."""
    checkpoint = teacher_of(hub, name)
    texts = OTHER_TEXTS if name == "marian" else TEXTS
    split = SPLIT_COLUMNS | {"references": [[text] for text in (*texts, *texts)[:3]]}
    limits = Limits(80, 80)
    for target, text in zip(encode_split(split, checkpoint.tokenizer, limits, "train").targets, texts, strict=False):
        assert checkpoint.tokenizer.decode(target, skip_special_tokens=True).strip() == text


def test_tokens_beyond_the_tokenizer_are_decoded(hub, name):
    """T5's embeddings have more rows than tokens: a random model samples from all of them."""
    checkpoint = teacher_of(hub, name)
    rows = checkpoint.model.module.get_input_embeddings().num_embeddings
    assert rows == len(checkpoint.tokenizer) + HUB[name].spare_rows
    columns = generate_texts(
        checkpoint.model,
        checkpoint.tokenizer,
        encoded(checkpoint).sources,
        {"max_new_tokens": 9, "num_beams": 1, "do_sample": True},
        2,
        1,
    )
    assert all(isinstance(text, str) for text in columns["hypothesis"])
    if HUB[name].spare_rows:
        assert isinstance(checkpoint.tokenizer.decode([rows - 1], skip_special_tokens=True), str)


def test_more_tokens_than_rows_are_refused(hub, tmp_path):
    checkpoint = fresh(hub, "DialoGPT")
    checkpoint.tokenizer.add_tokens([f"[{i}]" for i in range(4)])  # the checkpoint has three rows to spare
    save(checkpoint, tmp_path / "model")
    with pytest.raises(UserError, match=r"token ids up to 293, but the model has only 293 embeddings"):
        load(tmp_path / "model")


def test_dialogpt_pads_with_eos(hub):
    checkpoint = teacher_of(hub, "DialoGPT")
    assert checkpoint.tokenizer.pad_token == checkpoint.tokenizer.eos_token == "<|endoftext|>"
    assert checkpoint.model.module.config.n_positions == 1024


# --- the pad token of Marian and Pegasus


@pytest.mark.parametrize("name", ["marian", "pegasus"])
def test_a_pad_token_is_neither_sampled_nor_decoded(hub, name):
    """Its logit is 0 in any context: the greatest, if all others are negative."""
    checkpoint, module = fresh(hub, name), raw(hub, name)
    pad = checkpoint.model.pad_token_id
    with torch.no_grad():
        for biased in (checkpoint.model.module, module):
            biased.final_logits_bias[:, :pad] -= 100.0
            biased.final_logits_bias[:, pad + 1 :] -= 100.0
    source = encoded(checkpoint).sources[0]
    assert raw_logits(module, checkpoint, source, [0])[0, pad] == float("-inf")
    raw_next = module(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[pad]])).logits[0, 0]
    assert raw_next[pad] == 0 and raw_next.argmax() == pad  # transformers alone would decode nothing else
    sources = source_batch(checkpoint.model, [source] * 50)
    samples = ancestral_sample(checkpoint.model, sources, 10, [0]).labels
    assert not (samples == pad).any()
    for decoding in ({}, {"num_beams": 4}, {"do_sample": True}, {"min_new_tokens": 10}):
        outputs = checkpoint.model.generate(sources, max_new_tokens=10, **decoding)
        for row in outputs.tolist():
            words = row[: row.index(checkpoint.model.eos_token_id)] if checkpoint.model.eos_token_id in row else row
            assert pad not in words


@pytest.mark.parametrize("name", ["marian", "pegasus"])
@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "hidden_mse"])
def test_every_loss_is_finite_and_leaves_the_row_of_the_pad_token(hub, name, loss):
    """The row of zeros is the decoder's first input: if the token had a probability, the row would be trained."""
    checkpoint = teacher_of(hub, name)
    student = init_student(checkpoint, {"encoder": 2, "decoder": 1})
    sequences = {"nll": "ground_truth", "kl_q_mixture": "student_samples"}.get(loss, "teacher_samples")
    train = encoded(checkpoint)
    data = TrainingData(train, {"teacher_samples": [[target] for target in train.targets]})
    terms = Objective.from_config([{"sequences": sequences, "loss": loss}])
    training_settings = settings(batch_size=3, weight_decay=0.1)
    trainer = Trainer(student.model, checkpoint.model, terms, data, training_settings, SamplingConfig(6), 0)
    before = [student.model.module.state_dict()[key].clone() for key in positions_of(student)]
    assert torch.isfinite(torch.tensor(trainer.step(next(trainer.batches()))))
    assert (student.model.module.get_input_embeddings().weight[student.model.pad_token_id] == 0).all()
    after = [student.model.module.state_dict()[key] for key in positions_of(student)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


# --- mBART's languages


@pytest.mark.parametrize("name", ["mbart", "mbart-50"])
def test_mbart_reads_and_writes_as_it_was_trained(hub, name, tmp_path):
    """The logits of encoded targets equal those that transformers computes on the model's own format."""
    checkpoint = teacher_of(hub, name)
    tokens = checkpoint.tokenizer.convert_ids_to_tokens
    split = encoded(checkpoint)
    if name == "mbart":  # text </s> code
        assert tokens(split.sources[0][-2:]) == ["</s>", "en_XX"]
        assert tokens(checkpoint.model.decoder_prompt) == ["ro_RO"]
    else:  # code text </s>
        assert tokens([split.sources[0][0], split.sources[0][-1]]) == ["en_XX", "</s>"]
        assert tokens(checkpoint.model.decoder_prompt) == ["</s>", "ro_RO"]
    assert not {"en_XX", "ro_RO"} & {token for target in split.targets for token in tokens(target)}

    module = raw(hub, name)
    for row, text in enumerate(["o zi", "un om bun"]):
        source, target = split.sources[row], split.targets[row]
        labels = checkpoint.tokenizer(text_target=text, return_tensors="pt").input_ids
        expected = module(input_ids=torch.tensor([source]), labels=labels).logits[0]
        begin = labels[0].tolist().index(target[0])
        assert labels[0, begin : begin + len(target)].tolist() == target
        actual = logits_of(checkpoint)[row, : len(target)]
        torch.testing.assert_close(actual, expected[begin : begin + len(target)], rtol=1e-4, atol=1e-4)

    save(checkpoint, tmp_path / "saved")  # the languages are saved with it
    saved = load(tmp_path / "saved")
    assert saved.model.decoder_prompt == checkpoint.model.decoder_prompt and encoded(saved) == encoded(checkpoint)


def test_a_truncated_source_of_mbart_keeps_its_eos_and_its_language(hub):
    checkpoint = teacher_of(hub, "mbart")
    sources = encoded(checkpoint, Limits(6, 20, "truncate")).sources
    assert all(
        len(source) <= 6 and checkpoint.tokenizer.convert_ids_to_tokens(source[-2:]) == ["</s>", "en_XX"]
        for source in sources
    )


@pytest.mark.parametrize(
    ("name", "languages", "message"),
    [
        ("mbart-50", (), r"source_language: missing; .*mbart-50 marks texts"),
        ("mbart-50", ("en_XX",), r"target_language: missing"),
        ("mbart", ("en", "ro_RO"), r"source_language: unknown code 'en'"),
        ("mbart", ("en_XX", "ro"), r"target_language: unknown code 'ro'"),
        ("marian", ("en_XX", "ro_RO"), r"marian has no language codes; remove"),
    ],
)
def test_wrong_languages_are_refused(hub, name, languages, message):
    with pytest.raises(UserError, match=message):
        load(hub(name), "cpu", *languages)
