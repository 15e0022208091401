"""Student initialisation: the copied weights, and the parts that stay frozen."""

import pytest
import tiny
import torch
from fdistill.data.batches import label_batch, source_batch
from fdistill.models.architectures import wrap
from fdistill.models.checkpoints import load, save
from fdistill.models.families import FAMILIES
from fdistill.models.students import check_same_tokens, freeze, init_student
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import ancestral_sample


def teacher_of(family, depth=5, **config):
    """A teacher with stacks of unequal depth where there are two: `depth` and, the decoder, one less."""
    keys = tiny.LAYER_KEYS[family]
    return tiny.checkpoint(family, **dict(zip(keys, (depth, depth - 1), strict=False)), **config)


def layers_of(family, encoder, decoder):
    return {"encoder": encoder, "decoder": decoder} if len(FAMILIES[family].stacks) == 2 else {"decoder": encoder}


def stacks(checkpoint):
    family = checkpoint.model.family
    return {name: checkpoint.model.module.get_submodule(stack.modules) for name, stack in family.stacks.items()}


BIAS = "SelfAttention.relative_attention_bias.weight"


@pytest.mark.parametrize(
    ("encoder", "decoder", "expected"),
    [
        (3, 1, {"encoder": [0, 2, 4], "decoder": [0]}),
        ([1, 3], [2], {"encoder": [1, 3], "decoder": [2]}),  # the teacher's layer 0 is not among them
        ([0, 0, 0], [0, 0], {"encoder": [0, 0, 0], "decoder": [0, 0]}),
        ([4, 0], [3, 0], {"encoder": [4, 0], "decoder": [3, 0]}),  # layer 0 in another place
    ],
)
def test_copied_layers_have_the_teachers_weights(family, encoder, decoder, expected):
    teacher = teacher_of(family)
    student = init_student(teacher, layers_of(family, encoder, decoder))
    expected = {"decoder": expected["encoder"]} if len(FAMILIES[family].stacks) == 1 else expected
    for name, blocks in stacks(student).items():
        assert len(blocks) == len(expected[name])
        originals = stacks(teacher)[name]
        for position, (block, old) in enumerate(zip(blocks, expected[name], strict=True)):
            weights, original = block.state_dict(), originals[old].state_dict()
            biases = [key for key in weights if key.endswith(BIAS)]
            assert len(biases) == (family == "t5" and position == 0)
            for key in biases:  # T5: one bias per stack, in layer 0 of teacher and student alike
                assert torch.equal(weights.pop(key), originals[0].state_dict()[key])
            assert weights.keys() == {key for key in original if not key.endswith(BIAS)}
            assert all(torch.equal(weights[key], original[key]) for key in weights)
    prefixes = tuple(f"{stack.modules}." for stack in FAMILIES[family].stacks.values())
    others = {k: v for k, v in teacher.model.module.state_dict().items() if not k.startswith(prefixes)}
    assert others
    for key, value in others.items():  # embeddings, final norms, heads
        assert torch.equal(student.model.module.state_dict()[key], value), key
    assert student.tokenizer is teacher.tokenizer


@pytest.mark.parametrize(
    ("family", "depth", "wanted", "expected"),
    [
        ("pegasus", 16, {"encoder": 16, "decoder": 4}, {"encoder": list(range(16)), "decoder": [0, 5, 10, 15]}),
        ("marian", 6, {"encoder": 6, "decoder": 3}, {"encoder": list(range(6)), "decoder": [0, 2, 5]}),
        ("mbart", 12, {"encoder": 12, "decoder": 3}, {"encoder": list(range(12)), "decoder": [0, 6, 11]}),
        ("gpt2", 24, {"decoder": 4}, {"decoder": [0, 8, 16, 23]}),
    ],
)
def test_the_layers_of_the_published_teachers(family, depth, wanted, expected):
    """By number, from teachers of the real depth."""
    teacher = tiny.checkpoint(family, **dict.fromkeys(tiny.LAYER_KEYS[family], depth))
    for name, blocks in stacks(init_student(teacher, wanted)).items():
        originals = stacks(teacher)[name]
        for block, old in zip(blocks, expected[name], strict=True):
            weights, original = block.state_dict(), originals[old].state_dict()
            assert all(torch.equal(weights[key], original[key]) for key in original)


def test_all_layers_copied_is_the_teacher(family):
    teacher = teacher_of(family)
    student = init_student(teacher, layers_of(family, 5, 4))
    student.model.module.eval()
    sources, targets = tiny.random_pairs(teacher, 4)
    source, labels = source_batch(teacher.model, sources), label_batch(targets, "cpu")
    logits = [tiny.logits(checkpoint, source, labels) for checkpoint in (teacher, student)]
    torch.testing.assert_close(logits[0], logits[1])


def test_a_student_shares_no_memory_with_its_teacher(family):
    teacher = teacher_of(family)
    before = {k: v.clone() for k, v in teacher.model.module.state_dict().items()}
    student = init_student(teacher, layers_of(family, [0, 0], [0, 0]))
    with torch.no_grad():
        for parameter in student.model.module.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[k], v) for k, v in teacher.model.module.state_dict().items())
    blocks = stacks(student)["decoder"]  # repeated layers are separate copies
    first, second = (dict(block.named_parameters()) for block in blocks)
    assert all(first[name].data_ptr() != second[name].data_ptr() for name in second)


@pytest.mark.parametrize(("encoder", "decoder"), [(3, 1), (1, 3), ([0, 0], [1])])
def test_a_student_samples_generates_and_survives_a_round_trip(family, encoder, decoder, tmp_path):
    """Depths live in several configuration keys; caches and loading read them."""
    teacher = teacher_of(family)
    save(init_student(teacher, layers_of(family, encoder, decoder)), tmp_path / "student")
    student = load(tmp_path / "student")
    sources, targets = tiny.random_pairs(teacher, 3)
    source = source_batch(student.model, sources)
    assert ancestral_sample(student.model, source, 4, [0]).labels.shape[0] == 3
    assert student.model.generate(source, max_new_tokens=4, num_beams=2).shape[0] == 3
    got = tiny.logits(student, source, label_batch(targets, "cpu"))[0, 0]
    torch.testing.assert_close(got.log_softmax(-1), tiny.reference_log_probs(student.model, sources[0], targets[0])[0])


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_teacher_whose_start_token_is_only_in_its_generation_settings(family):
    """Some checkpoints keep `decoder_start_token_id` there; the student is made from the configuration."""
    teacher = teacher_of(family)
    module = teacher.model.module
    module.config.decoder_start_token_id = None
    teacher.model = wrap(module)
    student = init_student(teacher, layers_of(family, 1, 1))
    assert student.model.decoder_start_token_id == teacher.model.decoder_start_token_id is not None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"encoder": 2}, "encoder and decoder"),
        ({"encoder": 2, "decoder": 2, "head": 1}, "encoder and decoder"),
        ({"encoder": [0, 5], "decoder": 1}, r"model\.student\.encoder.*0\.\.4"),
        ({"encoder": [-1], "decoder": 1}, r"model\.student\.encoder"),
        ({"encoder": 1, "decoder": []}, r"model\.student\.decoder"),
        ({"encoder": 1, "decoder": 5}, "5 layers"),
    ],
)
def test_impossible_students_are_refused(layers, message):
    with pytest.raises(UserError, match=message):
        init_student(teacher_of("bart"), layers)


def test_a_decoder_only_student_has_no_encoder():
    with pytest.raises(UserError, match="layers of decoder"):
        init_student(teacher_of("gpt2"), {"encoder": 1, "decoder": 1})


# --- layers of other models, and random ones


def check_stack(student, name, expected):
    """Check that a stack's layers have the weights of the layers `expected`."""
    blocks = stacks(student)[name]
    assert len(blocks) == len(expected)
    for block, original in zip(blocks, expected, strict=True):
        weights, theirs = block.state_dict(), original.state_dict()
        assert all(torch.equal(weights[key], theirs[key]) for key in weights if not key.endswith(BIAS))


def test_layers_of_another_model_and_all_else_of_the_teacher(family):
    """Shleifer & Rush's "From Pre-trained" and "From FT on CNN": only the decoder's layers come from there."""
    depths = dict(zip(tiny.LAYER_KEYS[family], (5, 4), strict=False))
    teacher, other = teacher_of(family), tiny.checkpoint(family, 7, **depths)
    layers = layers_of(family, 5, None) | {"decoder": {"layers": 3, "choose": "high", "from": "pretrained"}}
    student = init_student(teacher, layers, {"pretrained": other})
    check_stack(student, "decoder", list(stacks(other)["decoder"])[-3:])
    if "encoder" in stacks(teacher):
        check_stack(student, "encoder", stacks(teacher)["encoder"])
    prefix = f"{FAMILIES[family].stacks['decoder'].modules}."
    weights = teacher.model.module.state_dict()
    rest = {key: value for key, value in student.model.module.state_dict().items() if not key.startswith(prefix)}
    assert rest and all(torch.equal(value, weights[key]) for key, value in rest.items())
    if family == "t5":  # the position bias belongs to the layers that were trained with it
        bias = f"{prefix}0.layer.0.{BIAS}"
        assert torch.equal(student.model.module.state_dict()[bias], other.model.module.state_dict()[bias])


def test_random_layers_are_new_and_the_seeds(family):
    teacher = teacher_of(family)
    layers = layers_of(family, 5, None) | {"decoder": {"layers": 2, "choose": "random"}}
    first, again, second = (init_student(teacher, layers, seed=seed).model.module.state_dict() for seed in (1, 1, 2))
    prefix = f"{FAMILIES[family].stacks['decoder'].modules}."
    theirs = [value for key, value in teacher.model.module.state_dict().items() if key.startswith(prefix)]
    new = [k for k, value in first.items() if k.startswith(prefix) and value.dim() == 2 and not k.endswith(BIAS)]
    assert new and all(torch.equal(first[key], again[key]) for key in first)
    for key in new:
        assert not torch.equal(first[key], second[key])
        assert not any(value.shape == first[key].shape and torch.equal(value, first[key]) for value in theirs)
        assert abs(first[key].mean()) < first[key].std()  # initialised, not what lay in memory
    assert all(torch.equal(first[key], second[key]) for key in first if key not in new)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (("bart", {"d_model": 8, "encoder_layers": 5, "decoder_layers": 4}), "has another architecture than"),
        (("bart", {"encoder_layers": 5, "decoder_layers": 5}), r".*decoder\.layers\.4.*the teacher's: no such weight"),
        (("marian", {"encoder_layers": 5, "decoder_layers": 4}), "is a marian model, the teacher a bart"),
    ],
)
def test_layers_of_another_architecture_are_refused(other, message):
    family, config = other
    layers = {"encoder": 5, "decoder": {"layers": 1, "from": "web"}}
    with pytest.raises(UserError, match=rf"model\.student\.decoder\.from: web {message}"):
        init_student(teacher_of("bart"), layers, {"web": tiny.checkpoint(family, **config)})


SETTINGS = {
    **tiny.for_kin({"activation_function": "relu", "scale_embedding": False, "decoder_attention_heads": 4}),
    "t5": {"feed_forward_proj": "gelu", "relative_attention_max_distance": 99, "layer_norm_epsilon": 0.1},
    "gpt2": {
        "n_head": 4,
        "activation_function": "relu",
        "layer_norm_epsilon": 0.1,
        "scale_attn_weights": False,
        "scale_attn_by_inverse_layer_idx": True,
        "reorder_and_upcast_attn": True,
    },
    **tiny.for_llamas({"hidden_act": "relu", "rms_norm_eps": 0.1, "rope_parameters": {"rope_theta": 99.0}}),
    "opt": {"activation_function": "gelu", "do_layer_norm_before": False, "num_attention_heads": 4},
}
SETTINGS["gemma2"] = {"hidden_activation": "silu", "query_pre_attn_scalar": 4, "attn_logit_softcapping": 9.0}
SETTINGS["gemma3_text"] = {"hidden_activation": "silu", "query_pre_attn_scalar": 4, "sliding_window": 3}
SETTINGS["phi"] = {"hidden_act": "relu", "layer_norm_eps": 0.1}
SETTINGS["qwen2"] = {"layer_types": ["full_attention", "full_attention"]}
SETTINGS["smollm3"] = {"no_rope_layers": [1, 1]}
SETTINGS["bart"] = SETTINGS["bart"] | {"scale_embedding": True}  # the one of its kin that does not


def test_layers_that_compute_something_else_with_weights_of_the_same_shapes_are_refused(family):
    """The student has the teacher's configuration, in which layers trained with another one are other functions."""
    layers = layers_of(family, 2, None) | {"decoder": {"layers": 1, "from": "web"}}
    for key, value in SETTINGS[family].items():
        named = "dense_act_fn" if key == "feed_forward_proj" else key
        with pytest.raises(UserError, match=rf"decoder\.from: web has another architecture .*\({named}: "):
            init_student(tiny.checkpoint(family), layers, {"web": tiny.checkpoint(family, **{key: value})})


def test_settings_that_no_layer_depends_on_may_differ(family):
    """Dropout and initialisation, as of a fine-tuned checkpoint, and the heads of the stack that is not copied."""
    keys = tiny.LAYER_KEYS[family]
    config = dict(zip(keys, (2, 2), strict=False)) | tiny.DROPOUT[family]
    config |= {"init_std" if "init_std" in tiny.CONFIGS[family] else "initializer_range": 0.1} if family != "t5" else {}
    if len(keys) == 2 and family != "t5":
        config["encoder_attention_heads"] = 4
    layers = layers_of(family, 2, None) | {"decoder": {"layers": 1, "from": "web"}}
    init_student(tiny.checkpoint(family), layers, {"web": tiny.checkpoint(family, **config)})


def test_spare_rows_of_the_embeddings_do_not_matter_to_layers():
    """BART's checkpoint has a row more than those fine-tuned from it."""
    teacher, other = (tiny.checkpoint("bart", seed) for seed in (1, 2))
    rows = len(other.model.module.model.shared.weight) + 1
    other.model.module.resize_token_embeddings(rows, mean_resizing=False)
    layers = {"encoder": 1, "decoder": {"layers": 1, "from": "pretrained"}}
    module = init_student(teacher, layers, {"pretrained": other}).model.module
    assert len(module.model.shared.weight) == rows - 1
    ours, theirs = (m.model.decoder.layers[0].fc1.weight for m in (module, other.model.module))
    assert torch.equal(ours, theirs)


def test_layers_of_another_vocabulary_are_refused():
    teacher, swapped, smaller = (tiny.checkpoint("bart", letters=letters) for letters in ("abcdef", "fbcdea", "abc"))
    check_same_tokens(teacher, tiny.checkpoint("bart", 9, "abcdef"), "x")
    with pytest.raises(UserError, match=r"^x has another vocabulary than the teacher \(\d+ tokens, but others\)"):
        check_same_tokens(teacher, swapped, "x")
    with pytest.raises(UserError, match=r"^x has another vocabulary than the teacher \(\d+ tokens, not \d+\)"):
        check_same_tokens(teacher, smaller, "x")


# --- freezing


def trainable(checkpoint):
    return {name for name, p in checkpoint.model.module.named_parameters() if p.requires_grad}


def test_frozen_embeddings(family):
    """The embeddings and, where it is the same tensor, the output layer; nothing else."""
    checkpoint = tiny.checkpoint(family)
    everything = trainable(checkpoint)
    freeze(checkpoint.model, ["embeddings"])
    module = checkpoint.model.module
    assert not module.get_input_embeddings().weight.requires_grad
    tied = module.get_output_embeddings().weight is module.get_input_embeddings().weight
    assert tied == module.config.tie_word_embeddings
    frozen = everything - trainable(checkpoint)
    blocks = tuple(f"{stack.modules}." for stack in checkpoint.model.family.stacks.values())
    assert frozen and not any(name.startswith(blocks) for name in frozen)
    assert all("embed" in name or name in ("shared.weight", "model.shared.weight") or ".w" in name for name in frozen)
    assert all(
        name.startswith(blocks) or any(part in name for part in ("norm", "ln_f", "lm_head"))
        for name in trainable(checkpoint)
    )


def test_frozen_encoder():
    checkpoint = tiny.checkpoint("bart")
    freeze(checkpoint.model, ["encoder"])
    left = trainable(checkpoint)
    assert left and not any(name.startswith("model.encoder.") for name in left)
    assert any(name.startswith("model.decoder.layers.1.") for name in left)


def test_parts_that_a_family_does_not_have():
    with pytest.raises(UserError, match=r"no part 'encoder'.*embeddings, decoder"):
        freeze(tiny.checkpoint("gpt2").model, ["encoder"])
