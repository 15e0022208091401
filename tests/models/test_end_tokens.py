"""Models with several end tokens, as chats have; a pad token that is one of them; and tokens before a text."""

import json
from collections import Counter

import pytest
import tiny
import torch
from fdistill.data.batches import label_batch, source_batch
from fdistill.data.limits import Limits
from fdistill.data.prompts import encode_prompts
from fdistill.losses.inputs import IGNORE
from fdistill.models.architectures import wrap
from fdistill.models.checkpoints import load, save
from fdistill.models.students import init_student
from fdistill.models.tokenization import encode_targets
from fdistill.sampling.diverse_beams import diverse_beam_search
from fdistill.sampling.sampler import SamplingConfig, sample_batch
from tokenizers import processors

MODES = {
    "ancestral": {},
    "nucleus": {"top_p": 0.9},
    "beam": {"num_beams": 3},
    "diverse_beam": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
}


@pytest.fixture(params=["bart", "llama", "gemma2"])
def checkpoint(request):
    """A model of either architecture."""
    return tiny.checkpoint(request.param, 3)


def with_ends(made, *others):
    """The model, whose texts end with EOS or one of the others."""
    made.model.module.config.eos_token_id = [made.model.eos_token_id, *others]
    return wrap(made.model.module)


def test_they_are_those_of_either_file_and_are_kept(tmp_path):
    """A checkpoint has them in its configuration or in its generation settings; EOS of the tokenizer comes first."""
    made = tiny.checkpoint("llama")
    eos, (first, second, *_) = made.model.eos_token_id, tiny.letter_ids(made)
    save(made, tmp_path / "model")
    for name, ends in (("config.json", [first, eos]), ("generation_config.json", [second, eos])):
        file = tmp_path / "model" / name
        file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": ends}))
    loaded = load(tmp_path / "model")
    assert loaded.model.ends == (eos, first, second) and loaded.model.eos_token_id == eos
    student = init_student(loaded, {"decoder": 1})
    save(student, tmp_path / "student")
    assert student.model.ends == load(tmp_path / "student").model.ends == (eos, first, second)
    assert loaded.model.module.generation_config.eos_token_id == [eos, first, second]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["bart", "llama", "gemma2"])
def test_every_mode_stops_at_any_of_them(family, mode):
    """The second one is the token that comes most often when EOS alone ends a text."""
    made = tiny.checkpoint(family, 3)
    source, sampling = source_batch(made.model, tiny.random_pairs(made, 40)[0]), SamplingConfig(5, mode, MODES[mode])

    def rows():
        samples = sample_batch(made.model, source, sampling, [0])
        found = [[token for token in row if token != IGNORE] for row in samples.labels.tolist()]
        assert samples.finished.tolist() == [row[-1] in made.model.ends for row in found]
        return found

    counts = Counter(token for row in rows() for token in row[:-1])
    made.model = with_ends(made, counts.most_common(1)[0][0])
    found = rows()
    assert all(token not in made.model.ends for row in found for token in row[:-1])
    assert made.model.ends[1] in {row[-1] for row in found}


@pytest.mark.parametrize("decoding", [{"num_beams": 1}, {"num_beams": 4, "early_stopping": True}, {"num_beams": 3}])
def test_a_group_of_diverse_beams_ends_as_transformers_own_search(decoding):
    """One group without a penalty is a beam search, also with three tokens that end a text."""
    made = tiny.checkpoint("llama", 3)
    model, source = (
        with_ends(made, *tiny.letter_ids(made)[:2]),
        source_batch(made.model, tiny.random_pairs(made, 20)[0]),
    )
    expected = sample_batch(model, source, SamplingConfig(5, "beam", decoding), [0]).labels
    groups = {"num_beam_groups": 1, "diversity_penalty": 0.0}
    assert torch.equal(diverse_beam_search(model, source, max_new_tokens=5, **groups, **decoding), expected)


def test_in_a_given_text_the_others_are_tokens_like_any(checkpoint):
    (source, *_), _ = tiny.random_pairs(checkpoint, 1)
    checkpoint.model = with_ends(checkpoint, tiny.letter_ids(checkpoint)[0])
    eos, other = checkpoint.model.ends
    target = [other, tiny.letter_ids(checkpoint)[1], other, eos]
    log_probs = checkpoint.model.log_probs(
        checkpoint.model.encode(source_batch(checkpoint.model, [source])), label_batch([target], "cpu")
    )
    expected = tiny.reference_nll(checkpoint.model, source, target)
    torch.testing.assert_close(-log_probs.sum(), expected, rtol=1e-4, atol=1e-4)


def test_a_pad_token_that_ends_texts_learns_as_an_input(tmp_path):
    """Without a pad token of its own, as in Llama's checkpoints, EOS serves; between turns of a dialogue it is text."""
    made = tiny.checkpoint("llama")
    eos = made.model.eos_token_id
    made.tokenizer.pad_token = made.tokenizer.eos_token
    made.model.module.config.pad_token_id = eos
    save(made, tmp_path / "model")
    model = load(tmp_path / "model").model
    assert model.pad_token_id == eos
    target = label_batch([[4, eos]], "cpu")
    model.log_probs(model.encode(source_batch(model, [[4, eos, 5]])), target).sum().backward()
    assert model.module.get_input_embeddings().weight.grad[eos].abs().max() > 0


def test_bos_stands_before_the_source_alone(checkpoint):
    """A decoder-only model's target goes on where its source ends; an encoder-decoder's is a text of its own."""
    tokenizer = checkpoint.tokenizer
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    closing = [eos] if checkpoint.model.family.closes_text else []
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A" + (f" {tokenizer.eos_token}" if closing else ""),
        special_tokens=[("<s>", bos), (tokenizer.eos_token, eos)],
    )
    a, b = tokenizer.convert_tokens_to_ids(["a", "b"])
    (prompt,) = encode_prompts(["a b"], tokenizer, Limits(9, 9, source_suffix=""))
    assert prompt.tokens == [bos, a, b, *closing]
    before = [bos] if checkpoint.model.family.is_encoder_decoder else []
    assert encode_targets(tokenizer, ["a b"]) == [[*before, a, b, eos]]
