"""Checkpoints: damaged or mismatched ones get one clear message, and nothing is left half-written."""

import io
import json
import pickle
import shutil

import pytest
import tiny
import torch
import transformers
from fdistill.artifacts import journal
from fdistill.artifacts.files import sha256
from fdistill.artifacts.manifest import model_identity
from fdistill.artifacts.records import record_of, record_text
from fdistill.models.checkpoints import from_scratch, load, save
from fdistill.models.families import FAMILIES
from fdistill.models.location import PICKLE, WEIGHTS
from fdistill.models.tokenization import tokenizer_identity
from fdistill.models.vocabularies import check_same_vocabulary
from fdistill.runtime.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """A checkpoint without a manifest, as one from elsewhere."""
    save(tiny.checkpoint("bart"), tmp_path / "model")
    return tmp_path / "model"


def refused(path, *parts):
    with pytest.raises(UserError) as error:
        load(path)
    message = str(error.value)
    assert str(path) in message and "\n" not in message
    for part in parts:
        assert part in message, message


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- reading and writing


def test_save_and_load_round_trip(family, tmp_path):
    checkpoint = tiny.checkpoint(family)
    save(checkpoint, tmp_path / "model", {"seed": 0})
    loaded = load(tmp_path / "model")
    assert loaded.model.family is checkpoint.model.family
    assert loaded.tokenizer.get_vocab() == checkpoint.tokenizer.get_vocab()
    for key, value in checkpoint.model.module.state_dict().items():
        assert torch.equal(value, loaded.model.module.state_dict()[key]), key
    text = "a b c d"
    assert loaded.tokenizer(text).input_ids == checkpoint.tokenizer(text).input_ids
    for name in ("eos_token_id", "pad_token_id", "decoder_start_token_id"):
        assert getattr(loaded.model, name) == getattr(checkpoint.model, name)


# --- damage


@pytest.mark.parametrize("keep", [0, 4, 1000])
def test_truncated_weights(folder, keep):
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:keep])
    refused(folder, WEIGHTS, "damaged or cut off", "copy the checkpoint again")


def test_weights_of_another_architecture(folder, tmp_path):
    other = tiny.checkpoint("bart", d_model=32, encoder_ffn_dim=64)
    save(other, tmp_path / "other")
    shutil.copy(tmp_path / "other" / WEIGHTS, folder / WEIGHTS)
    refused(folder, "of another shape", "model.")


def test_weights_that_are_not_all_there(folder, tmp_path):
    """transformers would fill in the missing layers with random numbers and a warning."""
    deeper = json.loads((folder / "config.json").read_text()) | {"decoder_layers": 3}
    (folder / "config.json").write_text(json.dumps(deeper))
    refused(folder, "decoder.layers.2")


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", WEIGHTS])
def test_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_damaged_json(folder, name):
    path = folder / name
    path.write_text(path.read_text()[: len(path.read_text()) // 2])
    refused(folder)


def test_every_file_of_our_own_checkpoint_counts(tmp_path):
    """Flipped, cut off, emptied or gone: named by the file, whichever it is."""
    save(tiny.checkpoint("gpt2"), tmp_path / "model", {"seed": 1})
    manifest = tmp_path / "model/manifest.json"
    record_of(tmp_path / "model").write_text(record_text({"outputs": {str(manifest): sha256(manifest)}}))
    whole = contents(tmp_path / "model")
    assert {WEIGHTS, "config.json", "tokenizer.json", "manifest.json"} <= set(whole)
    load(tmp_path / "model")
    for name, content in whole.items():
        file = tmp_path / "model" / name
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        for damaged in (flipped, content[:-1], content[:middle], b""):
            file.write_bytes(damaged)
            refused(tmp_path / "model", name, "delete", "again")
        file.write_bytes(content)
        file.unlink()
        refused(tmp_path / "model", name, "delete", "again")
        file.write_bytes(content)
    load(tmp_path / "model")


def test_a_foreign_folder_beside_our_record_is_not_taken_for_our_model(folder, tmp_path):
    save(tiny.checkpoint("bart"), tmp_path / "ours", {"seed": 1})
    manifest = tmp_path / "ours/manifest.json"
    record_of(tmp_path / "ours").write_text(record_text({"outputs": {str(manifest): sha256(manifest)}}))
    load(tmp_path / "ours")
    shutil.rmtree(tmp_path / "ours")
    shutil.copytree(folder, tmp_path / "ours")
    refused(tmp_path / "ours", "manifest.json: no such file, but", "lists it")


# --- code in a checkpoint


@pytest.mark.parametrize("model_type", ["bart", "unknown"])
def test_a_checkpoint_with_code_of_its_own_runs_none(folder, tmp_path, model_type, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # nor is the user asked
    for name in ("configuration_x.py", "modeling_x.py", "tokenization_x.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass X: pass\n")
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "configuration_x.X", "AutoModelForSeq2SeqLM": "modeling_x.X"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": model_type, "auto_map": auto}))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if model_type == "unknown":
        refused(folder)
    else:
        assert type(load(folder).model.module).__name__ == "BartForConditionalGeneration"
    assert not (tmp_path / "ran").exists()


def test_a_pickle_is_refused_unless_it_is_allowed_and_its_code_is_never_run(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    weights = load(folder).model.module.state_dict()
    (folder / WEIGHTS).unlink()
    for save_it in (torch.save, pickle.dump):
        for content in ({"model.shared.weight": Trap()}, weights | {"trap": Trap()}):
            with (folder / PICKLE).open("wb") as file:
                save_it(content, file)
            refused(folder, WEIGHTS, "can run code when it is opened", "set allow_pickle: true beside its init")
            with pytest.raises(UserError, match=r"contains more than tensors and is not opened.*give a checkpoint"):
                load(folder, allow_pickle=True)
    assert not (tmp_path / "ran").exists()
    torch.save(weights, folder / PICKLE)
    refused(folder, WEIGHTS)
    with journal.opened() as notes:
        found = load(folder, allow_pickle=True).model.module.state_dict()
    assert found.keys() == weights.keys() and all(torch.equal(found[name], weights[name]) for name in weights)
    assert notes.inputs[str(folder / PICKLE)] == sha256(folder / PICKLE)
    (folder / PICKLE).write_bytes((folder / PICKLE).read_bytes()[:1000])
    with pytest.raises(UserError, match=r"\.bin file is damaged"):
        load(folder, allow_pickle=True)


def test_unknown_family(folder):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "bert"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"'bert'; known: bart, mbart, pegasus, marian, t5, gpt2"):
        load(folder)


def test_no_such_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(tmp_path / "nowhere")


# --- failed writes


def test_a_failed_save_leaves_the_old_folder_and_nothing_else(folder, monkeypatch):
    before = contents(folder)
    newer = tiny.checkpoint("bart", seed=9)

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(newer.tokenizer, "save_pretrained", full)  # after the weights were written
    with pytest.raises(OSError, match="no space"):
        save(newer, folder)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_first_save_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    checkpoint = tiny.checkpoint("gpt2")
    monkeypatch.setattr(checkpoint.tokenizer, "save_pretrained", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(checkpoint, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_the_whole_folder(folder):
    (folder / "stale.txt").write_text("from before")
    save(tiny.checkpoint("bart", seed=9), folder)
    assert "stale.txt" not in contents(folder) and "manifest.json" not in contents(folder)
    assert WEIGHTS in contents(folder)


# --- identity


def test_identities(tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        save(tiny.checkpoint("t5", seed=seed), tmp_path / name)
    one, same, other = (model_identity(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same != other
    original, loaded = tiny.tokenizer("t5"), load(tmp_path / "one").tokenizer
    assert tokenizer_identity(original) == tokenizer_identity(loaded)
    assert tokenizer_identity(original) != tokenizer_identity(tiny.tokenizer("t5", letters="hgfedcba"))
    assert tokenizer_identity(original) != tokenizer_identity(tiny.tokenizer("bart"))


def test_identity_of_an_unfinished_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"not a finished checkpoint"):
        model_identity(tmp_path)


def test_vocabularies_are_compared():
    teacher = tiny.checkpoint("gpt2")
    check_same_vocabulary(teacher, tiny.checkpoint("gpt2", seed=5))
    with pytest.raises(UserError, match=r"different vocabularies \(11 tokens each, but others\)"):
        check_same_vocabulary(teacher, tiny.checkpoint("gpt2", letters="hgfedcba"))


# --- models from scratch and from elsewhere


def test_from_scratch_is_repeatable_and_knows_its_tokens(family):
    checkpoint = tiny.checkpoint(family, seed=3)
    module, tokenizer = checkpoint.model.module, checkpoint.tokenizer
    config = module.config
    again, other = (tiny.checkpoint(family, seed=seed).model.module.state_dict() for seed in (3, 4))
    assert all(torch.equal(again[key], value) for key, value in module.state_dict().items())
    assert any(not torch.equal(other[key], value) for key, value in module.state_dict().items())
    assert config.vocab_size == len(tokenizer)
    assert (config.eos_token_id, config.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    start = {"bart": eos, "mbart": eos, "pegasus": pad, "marian": pad, "t5": pad}.get(family)  # decoder-only: none
    assert checkpoint.model.decoder_start_token_id == start
    assert {p.dtype for p in module.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("gpt2", {"n_embd": 15, "n_head": 2}, "divisible"),
        (
            "bart",
            {"encoder_layer": 2},
            "BartConfig has no key 'encoder_layer'; did you mean 'encoder_layers'",
        ),
        ("t5", {"d_model": "wide"}, "d_model"),
    ],
)
def test_a_configuration_that_does_not_exist(family, config, message):
    """transformers takes any key and ignores those that it does not know."""
    with pytest.raises(UserError, match=rf"model\.teacher\.config: .*{message}"):
        from_scratch(FAMILIES[family], config, tiny.tokenizer(family), 0)


def test_a_tokenizer_without_pad_token(tmp_path):
    """GPT-2's own: padding is then EOS, which no mask takes for padding; the vocabulary stays as it is."""
    checkpoint = tiny.checkpoint("gpt2")
    checkpoint.tokenizer.save_pretrained(tmp_path / "bare")
    checkpoint.model.module.save_pretrained(tmp_path / "bare")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = tmp_path / "bare" / name
        if path.exists():
            settings = {k: v for k, v in json.loads(path.read_text()).items() if k != "pad_token"}
            path.write_text(json.dumps(settings))
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "bare").pad_token is None
    loaded = [load(tmp_path / "bare") for _ in range(2)]
    for one in loaded:
        assert one.tokenizer.pad_token_id == one.model.pad_token_id == one.model.eos_token_id
        assert one.model.module.config.vocab_size == len(one.tokenizer)
    weights = [one.model.module.state_dict() for one in loaded]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
