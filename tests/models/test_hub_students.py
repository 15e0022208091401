"""Students of published checkpoints copy positions, output layers and biases."""

import pytest
import torch
from fdistill.models.checkpoints import load, save
from fdistill.models.location import WEIGHTS
from fdistill.models.students import init_student
from hub_cases import fresh, logits_of, positions_of, raw, teacher_of
from safetensors.torch import load_file

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


def sinusoids(rows, width):
    """Return sin(position / 10000^(2i/width)) in the first half, cos in the second."""
    angles = torch.arange(rows)[:, None] / 10000 ** (2 * torch.arange(width // 2) / width)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@pytest.mark.parametrize("name", ["marian", "pegasus"])
def test_sinusoidal_positions_are_constant(hub, name, tmp_path):
    """transformers makes them trainable when it loads them, and does not save Marian's."""
    teacher = fresh(hub, name)
    save(init_student(teacher, {"encoder": 2, "decoder": 1}), tmp_path / "student")
    for checkpoint in (teacher, load(tmp_path / "student")):
        for key in positions_of(checkpoint):
            parameter = checkpoint.model.module.get_parameter(key)
            torch.testing.assert_close(parameter.data, sinusoids(*parameter.shape), rtol=1e-4, atol=1e-5)
            assert not parameter.requires_grad
    assert any(p.requires_grad for p in raw(hub, name).model.encoder.embed_positions.parameters())


def all_layers(checkpoint):
    return {
        name: getattr(checkpoint.model.module.config, stack.size_key)
        for name, stack in checkpoint.model.family.stacks.items()
    }


def test_a_student_of_all_layers_is_the_teacher(hub, name, tmp_path):
    """It is so before and after saving, and its file contains every weight once."""
    teacher = teacher_of(hub, name)
    student = init_student(teacher, all_layers(teacher))
    student.model.module.eval()
    save(student, tmp_path / "student")
    saved = load(tmp_path / "student")
    assert saved.model.decoder_prompt == teacher.model.decoder_prompt
    for checkpoint in (student, saved):
        assert torch.equal(logits_of(checkpoint), logits_of(teacher))
        assert tied(checkpoint) == tied(teacher)
    weights = load_file(tmp_path / "student" / WEIGHTS)
    assert len({tensor.numpy().tobytes() for tensor in weights.values() if tensor.ndim == 2}) == sum(
        tensor.ndim == 2 for tensor in weights.values()
    ) - (name == "pegasus")  # two tables of positions, equal by definition
    save(teacher, tmp_path / "teacher")
    sizes = [(tmp_path / folder / WEIGHTS).stat().st_size for folder in ("teacher", "student")]
    assert sizes[0] == sizes[1]


def tied(checkpoint):
    module = checkpoint.model.module
    return module.get_output_embeddings().weight is module.get_input_embeddings().weight


def test_t5_1_1_keeps_its_own_output_layer(hub, tmp_path):
    """Its input is not scaled, as it is in T5."""
    assert tied(teacher_of(hub, "t5-base"))
    teacher = teacher_of(hub, "t5-v1_1")
    assert not tied(teacher)
    save(init_student(teacher, {"encoder": 1, "decoder": 1}), tmp_path / "student")
    student = load(tmp_path / "student")
    assert not tied(student) and not student.model.module.config.scale_decoder_outputs
    assert torch.equal(student.model.module.lm_head.weight, teacher.model.module.lm_head.weight)
    assert torch.equal(student.model.module.shared.weight, teacher.model.module.shared.weight)
    assert teacher_of(hub, "t5-base").model.module.config.scale_decoder_outputs


def test_the_logits_bias_is_copied(hub, tmp_path):
    teacher = teacher_of(hub, "marian")
    save(init_student(teacher, {"encoder": 1, "decoder": 1}), tmp_path / "student")
    bias = load(tmp_path / "student").model.module.final_logits_bias
    assert torch.equal(bias, teacher.model.module.final_logits_bias) and bias.abs().min() > 0
