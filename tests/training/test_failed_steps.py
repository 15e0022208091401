"""Steps that fail: a loss or gradient that is not finite, and too little GPU memory."""

import math
from collections import Counter

import pytest
import tiny
import torch
from fdistill.data.batches import label_batch
from fdistill.runtime.distributed import SINGLE_PROCESS
from fdistill.runtime.errors import UserError
from training_cases import constant_score, data_of, gradients_of_step, micro_batches, selection, trainer_of


def weights_of(checkpoint):
    return [p.detach().clone() for p in checkpoint.model.module.parameters()]


def spoil(trainer, steps, what="loss"):
    """Make loss or gradient of some steps infinite, in every second micro-batch (counted from 1)."""
    calls = Counter()
    real = trainer.learner.loss

    def loss(batch, counts):
        calls["loss"] += 1
        value = real(batch, counts)
        bad = trainer.state.step + 1 in steps and calls["loss"] % 2 == 0
        if bad and what == "gradient":
            value.register_hook(lambda gradient: gradient * math.inf)
        return value * math.inf if bad and what == "loss" else value

    trainer.learner.loss = loss


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_skipped_and_its_examples_are_named(what, caplog):
    """Steps 2 and 3 of 6 leave no trace but in the log: not in the weights, the history or the learning rate."""
    student = tiny.checkpoint("gpt2")
    settings = {"batch_size": 2, "accumulation": 2, "evaluate_every": 0.5, "max_skipped_steps": 2}
    trainer = trainer_of(student, None, "mle", data_of(student, 24), **settings)
    spoil(trainer, (2, 3), what)
    seen = {}
    trainer.optimizer.register_step_post_hook(lambda *_: seen.__setitem__(trainer.state.step + 1, weights_of(student)))
    effective = [batches for _, batches in zip(range(6), trainer.batches(), strict=False)]
    with caplog.at_level("WARNING"):
        history = trainer.run(constant_score, selection(keep="last"))
    assert sorted(seen) == [1, 4, 5, 6]
    named = [f"step {step} skipped ({step - 1} in a row): the {what} is not finite; examples: " for step in (2, 3)]
    for line, batches, begin in zip(caplog.messages, effective[1:3], named, strict=True):
        guilty = batches[1].ids if what == "loss" else [name for batch in batches for name in batch.ids]
        assert line == begin + ", ".join(guilty)
    rates = {line["step"]: line["learning_rate"] for line in history if "loss" in line}
    assert list(rates) == [1, 4, 5, 6] and [rates[4], rates[6]] == pytest.approx([1 / 3 * 1e-2, 0.0])
    assert all(math.isfinite(line["loss"]) for line in history if "loss" in line)
    assert all(torch.isfinite(weight).all() for weight in weights_of(student))


def test_without_a_step_there_is_no_loss_in_the_history():
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 24), batch_size=4, max_skipped_steps=9, epochs=2)
    spoil(trainer, range(1, 7), "loss")
    real = trainer.learner.loss
    # A micro-batch a step: spoil it.
    trainer.learner.loss = lambda batch, counts: real(batch, counts) + real(batch, counts)
    history = trainer.run(constant_score, selection())
    steps = [(line["step"], "loss" in line) for line in history]
    assert steps == [(0, False), (6, False), *((step, True) for step in range(7, 13)), (12, False)]


@pytest.mark.parametrize("allowed", [0, 2])
def test_too_many_skipped_in_a_row_end_training_with_what_to_try(allowed):
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 80), max_skipped_steps=allowed)
    with torch.no_grad():
        next(student.model.module.parameters())[5] = math.inf
    before = weights_of(student)
    advice = r"max_skipped_steps = \d; lower learning_rate.*precision fp32.*texts: \d+, "
    with pytest.raises(UserError, match=advice) as error:
        trainer.run(constant_score, selection())
    assert f"step {allowed + 1}, and {allowed + 1} steps in a row were skipped" in str(error.value)
    assert all(map(torch.equal, before, weights_of(student)))


@pytest.mark.parametrize("name", ["mle", "predistill", "js", "js_exact", "tvd", "rkl", "engine"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_extreme_logits_give_finite_losses_and_gradients(name, precision):
    """Logits of some 1e4, where an exponential overflows any format and bf16 has steps of 64: losses are in float32."""
    teacher, student = tiny.checkpoint("gpt2", seed=1), tiny.checkpoint("gpt2", seed=2)
    for checkpoint in (teacher, student):
        with torch.no_grad():
            checkpoint.model.module.get_output_embeddings().weight.mul_(3e3)
    data = data_of(student)
    trainer = trainer_of(student, teacher, name, data, precision=precision)
    batches = micro_batches(trainer, 8)
    with torch.no_grad(), trainer.learner.autocast:
        source = batches[0].source
        labels = label_batch(data.train.targets, "cpu")
        logits = student.model.logits(student.model.decode(student.model.encode(source), labels).states)
    assert logits.abs().max() > 1e4
    assert logits.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    loss, gradients = gradients_of_step(trainer, batches)
    assert math.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert trainer.state.skipped == 0


class SmallMemory:
    """A GPU whose memory is not enough for a micro-batch of more than `fits` examples, from a given step on."""

    def __init__(self, trainer, fits, begin=1):
        self.trainer, self.fits, self.begin, self.real = trainer, fits, begin, trainer.learner.loss
        self.sizes = Counter()
        trainer.learner.loss = self.loss

    def loss(self, batch, counts):
        size = len(batch.source.input_ids)
        value = self.real(batch, counts)
        if size > self.fits and self.trainer.state.step + 1 >= self.begin:
            value.backward()  # as far as it came
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")
        self.sizes[size] += 1
        return value


@pytest.mark.parametrize("name", ["mle", "predistill", "js"])
def test_a_micro_batch_that_does_not_fit_is_halved_and_the_result_stays(pair, fixed_samples, name, caplog):
    """The second step of three finds 4 examples too many: losses and final model are those of enough memory."""
    teacher, student = pair
    family = student.model.module.config.model_type
    fixed_samples(student)
    losses, log_probs = [], []
    for fits in (4, 2):
        fresh = tiny.checkpoint(family, seed=2)
        data, settings = data_of(fresh, 24), {"batch_size": 4, "accumulation": 2, "evaluate_every": 0.3}
        trainer = trainer_of(fresh, teacher, name, data, **settings)
        memory = SmallMemory(trainer, fits, begin=2)
        history = trainer.run(constant_score, selection(keep="last"))
        losses.append([line["loss"] for line in history if "loss" in line])
        pairs = zip(data.train.sources, data.train.targets, strict=True)
        with torch.no_grad():
            log_probs.append(torch.cat([tiny.reference_log_probs(fresh.model, source, y) for source, y in pairs]))
    assert memory.sizes == {4: 2, 2: 8} and trainer.state.halved
    message = "not enough GPU memory at step 2: from here on micro-batches of 2 and accumulation 4 instead of 4 and 2"
    assert sum(message in line for line in caplog.messages) == 1
    assert len(losses[0]) == 3 and losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(*log_probs, rtol=1e-3, atol=1e-3)


def test_halved_micro_batches_give_the_loss_and_gradient_of_the_whole(pair):
    """In float64, as far as mathematics says: an odd size and unequal lengths too."""
    teacher, student = pair
    family = student.model.module.config.model_type
    results = []
    for fits in (8, 4):
        fresh = tiny.checkpoint(family, seed=2)
        trainer = trainer_of(fresh, teacher, "predistill", data_of(fresh, 14))
        fresh.model.module.double(), teacher.model.module.double()
        SmallMemory(trainer, fits)
        results.append(gradients_of_step(trainer, micro_batches(trainer, 7)))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("batch_size", "fits"), [(8, 2), (1, 0)])
def test_a_half_that_does_not_fit_ends_training_with_what_to_lower(batch_size, fits):
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 16), batch_size=batch_size)
    SmallMemory(trainer, fits)
    with pytest.raises(UserError, match=r"not enough GPU memory at step 1 for a micro-batch of .*lower batch_size"):
        trainer.run(constant_score, selection())
    assert trainer.state.halved == (batch_size > 1)


@pytest.mark.parametrize(("optimizer", "advice"), [("adamw", "set optimizer adafactor"), ("adafactor", "add parts")])
def test_too_little_memory_for_the_optimisers_states_is_said_in_words(optimizer, advice):
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 8), optimizer=optimizer)

    def step():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")

    trainer.optimizer.step = step
    text = rf"not enough GPU memory at step 1 for the states of optimizer {optimizer}, which smaller .*{advice}"
    with pytest.raises(UserError, match=text):
        trainer.run(constant_score, selection())


@pytest.mark.parametrize(
    ("message", "is_memory"),
    [
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: out of memory", True),
        ("CUDA error: device-side assert triggered", False),
    ],
)
def test_cudas_libraries_run_out_of_memory_too(message, is_memory):
    def compute():
        raise RuntimeError(message)

    if is_memory:
        assert SINGLE_PROCESS.all_gather_unless_oom(compute) is None
    else:
        with pytest.raises(RuntimeError, match="assert"):
            SINGLE_PROCESS.all_gather_unless_oom(compute)
