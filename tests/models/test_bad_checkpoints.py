"""Checkpoints from elsewhere that are damaged, hostile or not what they seem: named by file and key, in bounded time.

Whatever `load` refuses of files and shapes, `describe` refuses too, which preflight calls.
"""

import json
import os
import random
import shutil
import struct
import time
from pathlib import Path

import pytest
import tiny
import torch
from fdistill.artifacts import journal
from fdistill.artifacts.files import sha256
from fdistill.models import outlines
from fdistill.models.checkpoints import load, save
from fdistill.models.location import WEIGHTS, local_path
from fdistill.models.outlines import describe
from fdistill.runtime.errors import UserError
from hub_checkpoints import write
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import PreTokenizer

SECONDS = 2  # for one refusal on a busy machine


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A checkpoint of each kind of tokenizer and configuration."""
    root = tmp_path_factory.mktemp("originals")
    return {name: write(root / name, name) for name in ("bart-large", "t5-base", "DialoGPT")}


@pytest.fixture
def copy(originals, tmp_path):
    """Return a function that copies an original, for a test to change."""

    def make(name="bart-large"):
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        return Path(shutil.copytree(originals[name], tmp_path / "model"))

    return make


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def refusal(folder, by=load):
    """Return the message by which a folder is refused; the advice is not to delete what no rule makes."""
    began = time.monotonic()
    with pytest.raises(UserError) as error:
        by(folder)
    assert time.monotonic() - began < SECONDS
    message = str(error.value)
    assert "\n" not in message and len(message) < 1500
    assert not any(words in message for words in ("delete", "run again", "model.teacher.init", "model.family"))
    return message


def refused(folder, *words):
    """The folder is refused for the same reason by what preflight calls and by what the run calls."""
    message = refusal(folder)
    assert message == refusal(folder, describe)
    assert str(folder) in message
    for word in words:
        assert word in message, message


# --- files


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json", "generation_config.json"])
def test_a_git_lfs_pointer_in_place_of_a_file(copy, name):
    folder = copy()
    (folder / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1625222120\n")
    refused(folder, f"{folder / name}: is a Git LFS pointer", "run `git lfs pull`")


def test_weights_that_are_cut_off(copy):
    folder = copy()
    content = (folder / WEIGHTS).read_bytes()
    for keep in (0, 7, 100, len(content) - 1):
        (folder / WEIGHTS).write_bytes(content[:keep])
        refused(folder, f"{folder / WEIGHTS}: damaged or cut off", "copy the checkpoint again")


def test_an_adapter_is_no_model(copy):
    folder = copy()
    (folder / "adapter_config.json").write_text("{}")
    refused(folder, "has an adapter (adapter_config.json), which is not read here; merge it")


def test_a_folder_below_home_is_the_same_one_everywhere(copy, monkeypatch):
    folder = copy()
    monkeypatch.setenv("HOME", str(folder.parent))
    assert local_path("~/model") == folder
    load("~/model")
    with pytest.raises(UserError, match=r"~/models/x: there is no such folder"):
        load("~/models/x")
    with pytest.raises(UserError, match=r"~nosuchuser/x: there is no such user"):
        load("~nosuchuser/x")
    assert local_path("google-t5/t5-base") is None
    assert local_path("my/models/bart") == Path("my/models/bart")  # a hub id has at most one slash


# --- shards


def shard(folder):
    """Divide a checkpoint's weights between two files."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    places = {key: names[i % 2] for i, key in enumerate(sorted(weights))}
    for name in names:
        save_file(
            {key: weights[key] for key, place in places.items() if place == name}, folder / name, {"format": "pt"}
        )
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    return names


def test_every_file_of_a_sharded_checkpoint_is_noted_with_its_hash(copy):
    folder = copy()
    names = shard(folder)
    with journal.opened() as notes:
        load(folder)
    for name in (*names, f"{WEIGHTS}.index.json", "config.json", "tokenizer.json"):
        assert notes.inputs[str(folder / name)] == sha256(folder / name)


def test_shards_that_are_not_those_of_the_index(copy):
    folder = copy()
    first, second = shard(folder)
    index = folder / f"{WEIGHTS}.index.json"
    whole = index.read_text()
    for content, words in (
        ("{}", "does not list weights and their files"),
        ("null", "contains no JSON object but NoneType"),
        (whole.replace(first, "../other.safetensors"), "is not the name of a file in the folder"),
        (whole.replace(first, "gone.safetensors"), "gone.safetensors: no such file"),
        (
            whole.replace('"weight_map": {', f'"weight_map": {{"more": "{first}", '),
            "that no file contains (first: more)",
        ),
    ):
        index.write_text(content)
        refused(folder, words)
    index.write_text(whole)
    (folder / second).write_bytes((folder / second).read_bytes()[:-10])
    refused(folder, f"{folder / second}: damaged or cut off")


# --- values


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("bart-large", {"d_model": -1}, ["d_model: -1 is not allowed; must be an integer from 1"]),
        ("bart-large", {"encoder_attention_heads": 0}, ["encoder_attention_heads: 0 is not allowed"]),
        ("bart-large", {"encoder_layers": 10**9}, ["encoder_layers: 1000000000 is not allowed"]),
        ("bart-large", {"num_labels": 10**9}, ["num_labels: 1000000000 is not allowed"]),
        ("bart-large", {"activation_function": "gulu"}, ["unknown activation", "did you mean"]),
        ("bart-large", {"dropout": 5}, ["dropout: 5 is not allowed; must be a number from 0 to 1"]),
        ("bart-large", {"eos_token_id": -1}, ["eos_token_id: -1 is not allowed; must be one of the 290 tokens"]),
        ("bart-large", {"eos_token_id": 7}, ["EOS is token 2 to the tokenizer and 7 in config.json"]),
        ("bart-large", {"eos_token_id": []}, ["EOS is token 2 to the tokenizer and [] in config.json"]),
        ("t5-base", {"decoder_start_token_id": "x"}, ['decoder_start_token_id: "x" is not allowed']),
        ("t5-base", {"d_ff": "wide"}, ["config.json: Validation error for field 'd_ff'", "got str"]),
        ("bart-large", {"quantization_config": {"bits": 4}}, ["quantised, which is not supported", "unquantised"]),
        ("bart-large", {"model_type": "bloom"}, ["unknown model family 'bloom'; known: bart"]),
        (
            "bart-large",
            {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}},
            ["a gemma3 model, which reads more than text; give", "text model alone, whose model_type is gemma3_text"],
        ),
        ("bart-large", {"model_type": [1]}, ["unknown model family '[1]'"]),
        ("bart-large", {"encoder_attention_heads": 3}, ["divisible"]),
        ("t5-base", {"num_layers": 10**12}, ["num_layers: 1000000000000 is not allowed"]),
        ("t5-base", {"d_kv": 9}, ["of another shape than in config.json"]),
        ("DialoGPT", {"n_head": 10**5}, ["divisible"]),
        ("DialoGPT", {"n_embd": 10**7}, ["config.json"]),
    ],
)
def test_values_of_the_configuration_that_no_model_has(copy, name, values, words):
    folder = copy(name)
    change(folder / "config.json", **values)
    refused(folder, "config.json", *words)


def test_a_model_that_reads_what_follows(tmp_path):
    """Some of Gemma's relatives embed texts, with attention in both directions."""
    save(tiny.checkpoint("gemma"), tmp_path / "model")
    change(tmp_path / "model/config.json", use_bidirectional_attention=True)
    refused(tmp_path / "model", "config.json: use_bidirectional_attention: not allowed: such a model reads what it")


@pytest.mark.parametrize("text", ["null", "[]", "3", '"x"', "{", "", "[" * 100_000, "\ud800", "1" * 5000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_json_of_the_wrong_type(copy, name, text):
    folder = copy()
    (folder / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    refused(folder, str(folder / name))


def test_a_tokenizer_of_another_model(copy):
    folder = copy()
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["zzz"] = 70_000
    (folder / "tokenizer.json").write_text(json.dumps(content))
    refused(folder, "the tokenizer has token ids up to 70000, but the model has only")


def test_a_tokenizer_that_would_have_a_billion_tokens(copy):
    folder = copy("t5-base")
    change(folder / "tokenizer_config.json", extra_ids=10**9)
    refused(folder, "extra_ids: 1000000000 is not allowed")


def test_a_decoders_first_token_may_be_among_the_generation_settings(copy):
    folder = copy("t5-base")
    change(folder / "config.json", decoder_start_token_id=None)
    change(folder / "generation_config.json", decoder_start_token_id=0)
    assert load(folder).model.decoder_prompt == [0]
    change(folder / "generation_config.json", decoder_start_token_id=10**6)
    refused(folder, "generation_config.json: decoder_start_token_id: 1000000 is not allowed")
    (folder / "generation_config.json").unlink()
    refused(folder, "has no decoder_start_token_id, the first token of its decoder; set it in config.json")


# --- weights


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(copy, number):
    folder = copy()
    weights = load_file(folder / WEIGHTS)
    weights["decoder.layers.1.fc1.bias"][3] = number
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    assert "the weight model.decoder.layers.1.fc1.bias contains infinite numbers or NaN" in refusal(folder)


def test_weights_too_large_for_float32_are_infinite(copy):
    folder = copy("DialoGPT")
    weights = load_file(folder / WEIGHTS)
    weights["transformer.ln_f.bias"] = torch.full_like(weights["transformer.ln_f.bias"], 1e300, dtype=torch.float64)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    assert "the weight transformer.ln_f.bias contains infinite numbers" in refusal(folder)


def test_weights_stored_as_integers(copy):
    folder = copy()
    weights = load_file(folder / WEIGHTS)
    weights["decoder.layers.1.fc1.weight"] = weights["decoder.layers.1.fc1.weight"].to(torch.int8)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    refused(folder, "1 weights are stored as integers (first: decoder.layers.1.fc1.weight)", "give the unquantised one")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_floating_point_types_are_read(copy, dtype):
    folder = copy()
    weights = {key: value.to(dtype) for key, value in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    assert {parameter.dtype for parameter in load(folder).model.module.parameters()} == {torch.float32}


# --- whatever else

VALUES = [
    None,
    True,
    -1,
    0,
    1,
    2,
    7,
    10**9,
    10**400,
    1e308,
    -0.5,
    "",
    "gelu",
    "x" * 300,
    "\0",
    [],
    [[]],
    {},
    {"a": {}},
    [0],
]


def damaged_json(chance, content):
    """Change, drop or add values at random places of nested mappings and lists."""
    places = []

    def walk(value):
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))[:20]
        for key, item in items:
            places.append((value, key))
            if isinstance(item, dict | list):
                walk(item)

    walk(content)
    for _ in range(chance.randint(1, 3)):
        container, key = chance.choice(places)
        if isinstance(container, list) or chance.random() < 0.7:
            if isinstance(container, dict) or key < len(container):
                container[key] = chance.choice(VALUES)
        else:
            container.pop(key, None)
    return content


def damage(chance, folder):
    """Damage one file of a checkpoint; return what was done."""
    file = folder / chance.choice(
        ["config.json"] * 4 + ["tokenizer.json", "tokenizer_config.json", "generation_config.json", WEIGHTS, WEIGHTS]
    )
    if not file.exists():
        file = folder / "config.json"
    content = file.read_bytes()
    if file.name == WEIGHTS and chance.random() < 0.7:  # its header
        (length,) = struct.unpack("<Q", content[:8])
        header = json.dumps(damaged_json(chance, json.loads(content[8 : 8 + length]))).encode()
        file.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
    elif file.name != WEIGHTS and chance.random() < 0.8:
        file.write_text(json.dumps(damaged_json(chance, json.loads(content))))
    else:
        place = chance.randrange(len(content))
        flipped = bytes([content[place] ^ (1 << chance.randrange(8))])
        file.write_bytes(chance.choice([content[:place], content[:place] + flipped + content[place + 1 :]]))
    return file.name


@pytest.mark.parametrize("name", ["bart-large", "t5-base", "DialoGPT"])
def test_damage_at_random_is_refused_in_words_or_harmless(copy, name):
    """Seeded; `FUZZ=1000` tries more."""
    tries = int(os.environ.get("FUZZ", 25))
    seed = f"{name} {os.environ.get('SEED', '')}"
    chance = random.Random(seed)
    for number in range(tries):
        folder = copy(name)
        what = damage(chance, folder)
        began = time.monotonic()
        try:
            load(folder)
        except UserError as error:
            assert "\n" not in str(error) and "delete" not in str(error), (number, what)
        assert time.monotonic() - began < SECONDS, (number, what)


class Reversed:
    """A part of a tokenizer that is written in Python."""

    def pre_tokenize(self, text):
        text.split(lambda number, part: [part])


def test_a_tokenizer_that_cannot_be_saved(copy, monkeypatch):
    folder = copy()
    original = outlines.AutoTokenizer.from_pretrained

    def with_own_part(*arguments, **options):
        tokenizer = original(*arguments, **options)
        tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizer.custom(Reversed())
        return tokenizer

    monkeypatch.setattr(outlines.AutoTokenizer, "from_pretrained", with_own_part)
    for function in (describe, load):
        with pytest.raises(UserError, match=r"its tokenizer \(\w+\) cannot be saved \(Custom PreTokenizer cannot be"):
            function(folder)
