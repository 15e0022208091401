"""LoRA adapters that peft saved: merged into their model, or refused by file and key."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import tiny
import torch
from fdistill.models.checkpoints import load, save
from fdistill.models.lora import linear_maps
from fdistill.runtime.errors import UserError
from loopback_hub import serving
from model_cases import padded_batch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file


def save_adapter(checkpoint, folder, **config):
    """Save an adapter of random numbers with peft; return the logits of the model with the adapter beside it."""
    module = checkpoint.model.module
    maps = linear_maps(module, checkpoint.model.family)
    chosen = {"r": 2, "lora_alpha": 4, "target_modules": maps, "init_lora_weights": False} | config
    torch.manual_seed(0)
    adapted = get_peft_model(module, LoraConfig(**chosen))
    adapted.save_pretrained(folder, save_embedding_layers=False)
    _, _, source, labels = padded_batch(checkpoint)
    with torch.no_grad():
        return tiny.logits(checkpoint, source, labels), source, labels


@pytest.fixture
def saved(tmp_path):
    """A BART model in the folder `base`, and an adapter of it in `adapter`."""
    checkpoint = tiny.checkpoint("bart")
    save(checkpoint, tmp_path / "base")
    save_adapter(checkpoint, tmp_path / "adapter", target_modules=["q_proj", "fc1"])
    return tmp_path


def edit(folder, **changes):
    file = folder / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def read(folder, **options):
    return load(folder / "base", adapter=str(folder / "adapter"), **options)


def refused(folder, *texts, **options):
    with pytest.raises(UserError) as raised:
        read(folder, **options)
    for text in texts:
        assert text in str(raised.value)


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_the_merged_model_is_the_model_with_its_adapter(family, tmp_path):
    save(tiny.checkpoint(family), tmp_path / "base")
    expected, source, labels = save_adapter(tiny.checkpoint(family), tmp_path / "adapter")
    merged = read(tmp_path)
    merged.model.module.eval()
    with torch.no_grad():
        torch.testing.assert_close(tiny.logits(merged, source, labels), expected, rtol=1e-4, atol=1e-4)
        plain = tiny.logits(load(tmp_path / "base"), source, labels)
    assert (plain - expected).abs().max() > 0.01
    names = {name for name, weight in merged.model.module.named_parameters() if weight.requires_grad}
    base = load(tmp_path / "base").model.module
    assert names == {name for name, weight in base.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("kind", [{"use_dora": True}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 4}}])
def test_kinds_of_lora_that_can_be_merged(kind, tmp_path):
    save(tiny.checkpoint("bart"), tmp_path / "base")
    expected, source, labels = save_adapter(tiny.checkpoint("bart"), tmp_path / "adapter", **kind)
    merged = read(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(tiny.logits(merged, source, labels), expected, rtol=1e-4, atol=1e-4)


def test_an_adapter_of_another_model(saved):
    save(tiny.checkpoint("bart", d_model=24), saved / "wide")
    shutil.rmtree(saved / "base")
    (saved / "wide").rename(saved / "base")
    edit(saved, base_model_name_or_path="org/other")
    refused(saved, "adapter_model.safetensors: does not fit the model", "q_proj.lora_A.weight has the shape [2, 16]",
            '"org/other": set model.teacher.init')  # fmt: skip


def test_an_adapter_of_another_family(saved):
    save(tiny.checkpoint("gpt2"), saved / "gpt2")
    with pytest.raises(UserError, match=r"adapter_config\.json: does not fit the model .*not found in the base model"):
        load(saved / "gpt2", adapter=str(saved / "adapter"))


def test_another_name_of_a_fitting_model_is_logged(saved, caplog):
    edit(saved, base_model_name_or_path="elsewhere/base")
    with caplog.at_level("INFO"):
        read(saved)
    assert "LoRA of rank 2, of " in caplog.text  # what the log says of every adapter
    assert "adapter is one of" not in caplog.text
    edit(saved, base_model_name_or_path="org/other")
    read(saved)
    assert "the adapter is one of org/other" in caplog.text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"peft_type": "IA3"}, 'peft_type: "IA3" is not read, only LORA'),
        ({"peft_type": None}, "peft_type: null is not read"),
        ({"modules_to_save": ["lm_head"]}, 'modules_to_save: ["lm_head"] is not read; merge it'),
        ({"bias": "all"}, 'bias: "all" is not read; merge it'),
        ({"layer_replication": [[0, 2]]}, "layer_replication: "),
        ({"of_the_future": True}, "of_the_future: true is not read"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights: "),
        ({"r": 0}, "key 'r' must be a whole number of at least 1, not 0"),
        ({"r": 10**9}, "a rank of 1000000000 is not allowed"),
        ({"lora_alpha": "much"}, "key 'lora_alpha' must be a number"),
        ({"target_modules": ["q_proj", "shared"]}, "more than linear maps of layers (model."),
        ({"target_modules": "(("}, "adapter_config.json: "),
        ({"target_modules": ["q_proj", "fc2"]}, "fc2.lora_A.weight is missing"),
        ({"target_modules": ["q_proj"]}, "weights have no place in it, first: model."),
    ],
)
def test_configurations_that_are_refused(saved, changes, text):
    edit(saved, **changes)
    refused(saved, str(saved / "adapter"), text)


def test_prefix_tuning(tmp_path):
    save(tiny.checkpoint("gpt2"), tmp_path / "base")
    config = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(tiny.checkpoint("gpt2").model.module, config).save_pretrained(tmp_path / "adapter")
    refused(tmp_path, 'adapter_config.json: peft_type: "PREFIX_TUNING" is not read')


def test_missing_and_damaged_files(saved):
    adapter, weights = saved / "adapter", saved / "adapter/adapter_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    refused(saved, f"{weights}: damaged or cut off")
    tensors = load_file((weights.write_bytes(content), weights)[1])
    save_file({key: weight / 0 for key, weight in tensors.items()}, weights)
    refused(saved, f"{weights}: the weight base_model.model.", "infinite numbers or NaN")
    weights.unlink()
    refused(saved, f"{adapter}: has no adapter_model.safetensors; give")
    torch.save(tensors, adapter / "adapter_model.bin")
    refused(saved, "adapter_model.bin can run code", "allow_pickle: true")
    read(saved, allow_pickle=True)
    (adapter / "adapter_config.json").write_text("{")
    refused(saved, "adapter_config.json: is not valid JSON", allow_pickle=True)
    (adapter / "adapter_config.json").unlink()
    refused(saved, f"{adapter}: has no adapter_config.json")
    shutil.rmtree(adapter)
    refused(saved, f"{adapter}: there is no such folder")


OF_THE_HUB = """
import sys
from fdistill.artifacts import journal
from fdistill.models.checkpoints import load
from fdistill.runtime.errors import UserError
with journal.opened() as opened:
    load(sys.argv[1], adapter="someone/lora")
    print(opened.inputs["someone/lora"])
for name, adapter in ((sys.argv[1], "someone/pickle"), (sys.argv[1], "someone/none"), ("someone/both", None)):
    try:
        load(name, adapter=adapter)
    except UserError as error:
        print(error)
"""


def test_an_adapter_on_the_hub(saved):
    hub = saved / "hub/someone"
    shutil.copytree(saved / "adapter", hub / "lora")
    shutil.copytree(saved / "adapter", hub / "pickle")
    (hub / "pickle/adapter_model.safetensors").rename(hub / "pickle/adapter_model.bin")
    shutil.copytree(saved / "base", hub / "both")
    shutil.copytree(saved / "adapter", hub / "both", dirs_exist_ok=True)
    with serving(saved / "hub") as (address, requests):
        environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(saved / "home"), "HF_TOKEN": ""}
        command = [sys.executable, "-c", OF_THE_HUB, saved / "base"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    revision, pickle, none, both = done.stdout.splitlines()
    assert revision == "0" * 40
    assert "someone/pickle: has no adapter_model.safetensors; give" in pickle
    assert not [line for line in requests if "adapter_model.bin" in line]
    assert "someone/none: is no adapter that this machine can reach (" in none
    assert "someone/both: has an adapter (adapter_config.json), which is not read here" in both
