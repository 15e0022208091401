"""A frozen encoder that is the teacher's runs once, with the loss and gradients of two encoders; attention's losses."""

import pytest
import tiny
import torch
from fdistill.losses.objectives import Objective
from fdistill.models.shared_encoder import is_shared_encoder
from fdistill.models.students import init_student
from fdistill.runtime.errors import UserError
from training_cases import data_of, gradients_of_step, micro_batches, trainer_of

FAMILIES = ("bart", "pegasus", "t5")
WHOLE_ENCODER = {"encoder": 2, "decoder": 1}
FROZEN = {"freeze": ["encoder", "embeddings"]}
EVERYTHING = Objective.from_config(
    [
        {"sequences": "ground_truth", "loss": loss, "temperature": temperature}
        for loss, temperature in (("kl", 2.0), ("nll", 1.0), ("hidden_mse", 1.0), ("hidden_cosine", 1.0))
    ]
    + [{"sequences": "teacher_beam", "loss": "kl"}, {"sequences": "student_samples", "loss": "rkl"}]
)


def models(family, layers=WHOLE_ENCODER, **config):
    """A teacher with dropout and a student of its layers."""
    teacher = tiny.checkpoint(family, **tiny.DROPOUT[family], **config)
    return teacher, init_student(teacher, layers)


def step(family, is_shared, objective=EVERYTHING, **settings):
    """The loss and gradients of one step, and how often the teacher's encoder ran; unless `is_shared`, two run."""
    teacher, student = models(family)
    runs = []
    teacher.model.module.get_encoder().register_forward_hook(lambda *_: runs.append(1))
    trainer = trainer_of(student, teacher, objective, data_of(teacher), **(FROZEN | settings))
    assert trainer.learner.shares_encoder
    trainer.learner.shares_encoder = is_shared
    return *gradients_of_step(trainer, micro_batches(trainer, 4)), len(runs)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_encoder_has_the_loss_and_gradients_of_two(family):
    (loss, gradients, runs), (reference, expected, twice) = (step(family, is_shared) for is_shared in (True, False))
    assert (runs, twice) == (0, 2)
    assert loss == reference and len(gradients) == len(expected) > 0
    assert all(torch.equal(one, other) for one, other in zip(gradients, expected, strict=True))
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_of_the_encoder_are_in_memory_once(family):
    teacher, student = models(family)
    before = {name: weight.clone() for name, weight in teacher.model.module.state_dict().items()}
    trainer_of(student, teacher, "kd", data_of(teacher), **FROZEN)
    own, theirs = (made.model.module.get_encoder().parameters() for made in (student, teacher))
    assert all(a.data_ptr() == b.data_ptr() for a, b in zip(own, theirs, strict=True))
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.model.module.state_dict().items())


def changed(checkpoint):
    with torch.no_grad():
        next(checkpoint.model.module.get_encoder().parameters()).add_(1)


@pytest.mark.parametrize(
    ("layers", "freeze", "change"),
    [
        (WHOLE_ENCODER, [], None),
        (WHOLE_ENCODER, ["embeddings"], None),
        ({"encoder": 1, "decoder": 1}, ["encoder"], None),
        ({"encoder": [1, 0], "decoder": 1}, ["encoder"], None),
        (WHOLE_ENCODER, ["encoder"], changed),
    ],
)
def test_other_encoders_run_in_both_models(layers, freeze, change):
    teacher, student = models("bart", layers)
    if change:
        change(student)
    assert not trainer_of(student, teacher, "kd", data_of(teacher), freeze=freeze).learner.shares_encoder


def test_equal_weights_with_other_heads_are_no_shared_encoder():
    teacher, student = (tiny.checkpoint("bart", encoder_attention_heads=heads) for heads in (2, 4))
    student.model.module.load_state_dict(teacher.model.module.state_dict())
    assert not is_shared_encoder(student.model, teacher.model)
    assert is_shared_encoder(teacher.model, teacher.model)


# --- attention

ATTENTION = Objective.from_config([{"sequences": "ground_truth", "loss": "attention_mse"}])


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_attention_of_a_step_from_transformers_alone(family):
    """One example at a time without padding, with the attention that transformers returns."""
    teacher, student = (tiny.checkpoint(family, seed) for seed in (0, 1))
    data = data_of(teacher)
    trainer = trainer_of(student, teacher, ATTENTION, data)
    loss, gradients = gradients_of_step(trainer, micro_batches(trainer, 4))
    totals, counts = [0.0] * 2, [0] * 2
    reference = tiny.checkpoint(family, 1)
    for made in (reference, teacher):
        made.model.module.set_attn_implementation("eager")
    for source, target in zip(data.train.sources, data.train.targets, strict=True):
        start = teacher.model.module.config.decoder_start_token_id
        inputs = {"input_ids": torch.tensor([source]), "decoder_input_ids": torch.tensor([[start, *target[:-1]]])}
        one, other = (made.model.module(**inputs, output_attentions=True) for made in (reference, teacher))
        for stack, name in enumerate(("encoder_attentions", "decoder_attentions")):
            for mine, theirs in zip(one[name], other[name], strict=True):
                difference = (mine.detach().double() - theirs.detach().double()).square().mean().item()
                totals[stack] += difference * mine.shape[-1]
            counts[stack] += one[name][0].shape[-1]
    assert loss == pytest.approx(sum(t / c for t, c in zip(totals, counts, strict=True)), rel=1e-5)
    assert sum(gradient.abs().sum() for gradient in gradients) > 0


def test_a_model_whose_attention_is_compared_is_saved_as_before(tmp_path):
    teacher, student = models("bart")
    before = student.model.module.config.to_json_string()
    trainer_of(student, teacher, ATTENTION, data_of(teacher))
    assert student.model.module.config.to_json_string() == before


def test_other_heads_are_refused_by_name():
    teacher, student = tiny.checkpoint("bart"), tiny.checkpoint("bart", decoder_attention_heads=4)
    with pytest.raises(UserError, match="the student's decoder has 4 attention heads and the teacher's 2"):
        trainer_of(student, teacher, ATTENTION, data_of(teacher))


def test_the_attention_of_a_decoder_alone_is_refused():
    teacher = tiny.checkpoint("gpt2")
    with pytest.raises(UserError, match="a gpt2 model has only a decoder"):
        trainer_of(init_student(teacher, {"decoder": 1}), teacher, ATTENTION, data_of(teacher))
