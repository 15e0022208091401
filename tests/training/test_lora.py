"""A teacher that is trained by LoRA."""

import random

import killing
import pytest
import tiny
import torch
from fdistill.artifacts.manifest import manifest_of
from fdistill.models.checkpoints import load, save
from fdistill.models.lora import add_lora, chosen_maps
from fdistill.runtime.errors import UserError
from model_cases import padded_batch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from training_cases import data_of, selection, trainer_of

LORA = {"rank": 2, "alpha": None, "dropout": 0.0, "target_modules": None}


def base_weights(module):
    """The weights that the model had before, without LoRA's, by their first names."""
    return {
        name.replace(".base_layer", ""): weight.detach().clone()
        for name, weight in module.named_parameters()
        if "lora_" not in name
    }


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_only_low_rank_changes_are_trained_and_then_merged(family):
    checkpoint = tiny.checkpoint(family)
    module = checkpoint.model.module
    before, keys = base_weights(module), list(module.state_dict())
    lora = add_lora(checkpoint.model, LORA, seed=1)
    trainer = trainer_of(checkpoint, None, "mle", data_of(checkpoint), epochs=20, max_grad_norm=1.0)
    losses = [trainer.step(batch) for _, batch in zip(range(20), trainer.batches(), strict=False)]
    assert losses[-1] < 0.9 * losses[0]
    assert all("lora_" in name for name in trainer.weights())
    after = base_weights(module)
    assert before.keys() == after.keys() and all(torch.equal(after[name], before[name]) for name in before)

    module.eval()
    _, _, source, labels = padded_batch(checkpoint)
    with torch.no_grad():
        beside = tiny.logits(checkpoint, source, labels)
        lora.merge_and_unload()
        torch.testing.assert_close(tiny.logits(checkpoint, source, labels), beside, rtol=1e-4, atol=1e-4)
    assert list(module.state_dict()) == keys
    changed = {name for name, weight in base_weights(module).items() if not torch.equal(weight, before[name])}
    layers = tuple(f"{stack.modules}." for stack in checkpoint.model.family.stacks.values())
    assert changed and all(name.startswith(layers) for name in changed)


def test_a_frozen_part_has_no_changes():
    checkpoint = tiny.checkpoint("bart")
    before = base_weights(checkpoint.model.module)
    lora = add_lora(checkpoint.model, LORA, seed=1)
    trainer = trainer_of(checkpoint, None, "mle", data_of(checkpoint), freeze=["encoder"])
    trainer.step(next(trainer.batches()))
    lora.merge_and_unload()
    after = base_weights(checkpoint.model.module)
    assert {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])} == {"decoder"}


def test_maps_by_their_names():
    model = tiny.checkpoint("bart").model
    assert chosen_maps(model, ["decoder.layers.1.fc1", "fc2"]) == [
        "model.encoder.layers.0.fc2",
        "model.encoder.layers.1.fc2",
        "model.decoder.layers.0.fc2",
        "model.decoder.layers.1.fc1",
        "model.decoder.layers.1.fc2",
    ]
    for name in ("proj", "shared", "lm_head", "c_attn"):
        with pytest.raises(
            UserError, match=f'training.teacher.lora.target_modules: "{name}" is no linear map .*q_proj'
        ):
            chosen_maps(model, ["fc1", name])


def test_the_best_weights_are_kept_and_merged():
    """Evaluated with the changes beside the weights, at every step; step 2 is the best."""
    checkpoint = tiny.checkpoint("bart")
    lora = add_lora(checkpoint.model, LORA, seed=1)
    trainer = trainer_of(checkpoint, None, "mle", data_of(checkpoint), epochs=4)
    seen = []

    def score(model):
        seen.append({name: weight.clone() for name, weight in trainer.weights().items()})
        return {"nll": [3.0, 2.0, 1.0, 2.0, 2.0][trainer.state.step]}

    trainer.run(score, selection())
    kept = trainer.weights()
    assert len(seen) == 5 and all(torch.equal(kept[name], weight) for name, weight in seen[2].items())
    assert any(not torch.equal(seen[2][name], seen[4][name]) for name in kept)
    lora.merge_and_unload()


def test_the_script_writes_an_ordinary_checkpoint(tmp_path):
    """Of the adapted base, with the same weights by name, other values in the layers, and how it was made."""
    tiny.write_splits(tmp_path, {"train": 8, "dev": 4}, random.Random(0))
    base = tiny.checkpoint("bart")
    save(base, tmp_path / "base")
    chosen = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(base.model.module, chosen).save_pretrained(tmp_path / "adapter")
    arguments = ["--family", "bart", "--init", tmp_path / "base", "--adapter", tmp_path / "adapter"]
    arguments += ["--train", tmp_path / "train.parquet", "--dev", tmp_path / "dev.parquet", "--seed", 1]
    arguments += ["--learning-rate", 0.01, "--epochs", 1, "--warmup-steps", 0, "--device", "cpu"]
    arguments += ["--max-source-tokens", 12, "--max-target-tokens", 12, "--lora", '{"rank": 2}']
    written = []
    for name in ("one", "two"):
        outputs = ["--model", tmp_path / name, "--history", tmp_path / f"{name}.jsonl"]
        assert killing.run("finetune_teacher", [*arguments, *outputs], tmp_path / "log") == 0, (
            tmp_path / "log"
        ).read_text()
        written.append((tmp_path / name / "model.safetensors").read_bytes())
    assert written[0] == written[1]
    names = [{file.name for file in (tmp_path / name).iterdir()} for name in ("base", "one")]
    assert names[1] - names[0] == {"manifest.json"}
    manifest = manifest_of(tmp_path / "one")
    assert manifest["lora"] == LORA and manifest["adapter"] == str(tmp_path / "adapter")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "one"))
    assert before.keys() == after.keys()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed and all(".layers." in key and "norm" not in key for key in changed)
    load(tmp_path / "one")
