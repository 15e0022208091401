"""Every method, optimiser and precision learns; clipping and freezing do what they say."""

from itertools import product

import pytest
import tiny
import torch
from fdistill.data.batches import label_batch, source_batch
from fdistill.data.encoding import Encoded
from fdistill.losses.sequences import ONLINE_TEACHER_SAMPLES
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig, ancestral_sample, sequence_log_probs
from fdistill.training.micro_batches import TrainingData
from fdistill.training.optimizer_steps import OPTIMIZERS
from training_cases import METHODS, data_of, gradients_of_step, micro_batches, trainer_of


def leaves(eos, vocabulary, length):
    """All sequences up to and including the first EOS, or `length` long without one."""
    return [
        list(tokens)
        for n in range(1, length + 1)
        for tokens in product(range(vocabulary), repeat=n)
        if eos not in tokens[:-1] and (tokens[-1] == eos or n == length)
    ]


@torch.no_grad()
def exact_probabilities(model, sources, length):
    """P(y|x) of every sequence for every source, (sources, sequences)."""
    model.module.eval()
    sequences = leaves(model.eos_token_id, model.module.config.vocab_size, length)
    labels = label_batch(sequences, "cpu")
    rows = [
        sequence_log_probs(model, source_batch(model, [source] * len(sequences)), labels).double().sum(-1)
        for source in sources
    ]
    return torch.stack(rows).exp()


def sequence_level(name, p, q):
    m = (p + q) / 2
    kl = lambda a, b: (a * (a / b).log()).sum(-1)  # noqa: E731
    values = {
        "kl": kl(p, q),
        "rkl": kl(q, p),
        "js": 0.5 * kl(p, m) + 0.5 * kl(q, m),
        "tvd": 0.5 * (p - q).abs().sum(-1),
    }
    return values[name.removesuffix("_exact")].mean().item()


CASES = [("bart", name) for name in METHODS] + [
    ("t5", "js"),
    ("gpt2", "js"),
    ("gpt2", "predistill"),
    ("t5", "tvd"),
]


@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_method_learns(family, name):
    """The objective falls, and with it the exact divergence to the teacher over all sequences."""
    length = 3
    teacher, student = (tiny.checkpoint(family, seed=seed, letters="ab") for seed in (1, 2))
    letters = tiny.letter_ids(teacher)
    closing = [teacher.model.eos_token_id] if teacher.model.family.closes_text else []
    sources = [[a, b, *closing] for a in letters for b in letters]
    p = exact_probabilities(teacher.model, sources, length)
    torch.testing.assert_close(p.sum(-1), torch.ones(4).double(), rtol=1e-5, atol=1e-5)

    generator = torch.Generator().manual_seed(0)
    everything = leaves(teacher.model.eos_token_id, teacher.model.module.config.vocab_size, length)
    sampled = [[everything[i] for i in torch.multinomial(row, 160, True, generator=generator)] for row in p]
    train = Encoded(
        [str(i) for i in range(64)],
        [s for s in sources for _ in range(16)],
        [[y] for row in sampled for y in row[:16]],
    )
    samples = [sampled[i // 16][j::16] for i in range(64) for j in [i % 16]]
    hard = [[everything[row.argmax()]] for row in p for _ in range(16)]
    data = TrainingData(train, {"teacher_samples": samples, "teacher_beam": hard, "other_teacher_beam": hard})

    trainer = trainer_of(
        student, teacher, name, data, batch_size=16, learning_rate=5e-3, sampling=SamplingConfig(length)
    )

    def loss_now():
        """The objective on one large batch, with samples of a fixed seed."""
        (batch,) = micro_batches(trainer, 64)
        for kind in (kind for kind, labels in batch.labels.items() if labels is None):
            model = teacher.model if kind == ONLINE_TEACHER_SAMPLES else student.model
            batch.labels[kind] = ancestral_sample(model, batch.source, length, [1]).labels
        student.model.module.eval()
        with torch.no_grad():
            return trainer.learner.loss(batch, batch.counts()).item()

    before, q = loss_now(), exact_probabilities(student.model, sources, length)
    for _, batches in zip(range(40), trainer.batches(), strict=False):
        trainer.step(batches)
    after = exact_probabilities(student.model, sources, length)
    assert loss_now() < 0.8 * before
    if name.removesuffix("_exact") in ("kl", "rkl", "js", "tvd"):
        assert sequence_level(name, p, after) < 0.6 * sequence_level(name, p, q)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_learns(optimizer):
    student = tiny.checkpoint("bart")
    trainer = trainer_of(student, None, "mle", data_of(student), optimizer=optimizer, weight_decay=0.01)
    losses = [trainer.step(micro_batches(trainer, 8)) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_gradient_is_clipped():
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student), max_grad_norm=0.01)
    _, gradients = gradients_of_step(trainer, micro_batches(trainer, 8))
    assert torch.stack([g.norm() for g in gradients]).norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("name", ["js", "predistill"])
def test_bf16_autocast_trains_every_parameter_in_float32(pair, name):
    """Sampling and teacher run without gradient in bf16: neither may swallow the student's gradients."""
    teacher, student = pair
    family = student.model.module.config.model_type
    losses, covered = {}, {}
    for precision in ("fp32", "bf16"):
        fresh = tiny.checkpoint(family, seed=2)
        trainer = trainer_of(fresh, teacher, name, data_of(fresh), precision=precision)
        losses[precision], gradients = gradients_of_step(trainer, micro_batches(trainer, 4))
        covered[precision] = [bool(g.abs().sum() > 0) for g in gradients]
        assert all(g.dtype == torch.float32 and torch.isfinite(g).all() for g in gradients)
        assert trainer.learner.autocast._enabled == (precision == "bf16")
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.15)
    assert losses["bf16"] != losses["fp32"]
    assert covered["bf16"] == covered["fp32"]


@pytest.mark.parametrize("part", ["embeddings", "encoder", "decoder"])
def test_frozen_parts_keep_their_bytes(part):
    """Under AdamW with weight decay, which moves every parameter that it is given."""
    student = tiny.checkpoint("bart")
    trainer = trainer_of(student, None, "mle", data_of(student), freeze=[part], weight_decay=0.1)
    prefixes = {
        "embeddings": ("model.shared", "model.encoder.embed", "model.decoder.embed", "lm_head"),
        "encoder": ("model.encoder.", "model.shared", "lm_head", "model.decoder.embed_tokens"),
        "decoder": ("model.decoder.", "model.shared", "lm_head", "model.encoder.embed_tokens"),
    }[part]
    before = {k: v.clone() for k, v in student.model.module.state_dict().items()}
    for _ in range(2):
        trainer.step(micro_batches(trainer, 8))
    for key, value in student.model.module.state_dict().items():
        if key.startswith(prefixes):
            assert torch.equal(value, before[key]), key
    moved = {k for k, v in student.model.module.state_dict().items() if not torch.equal(v, before[k])}
    assert any(k.startswith("model.encoder.layers.1") for k in moved) == (part != "encoder")
    assert any(k.startswith("model.decoder.layers.1") for k in moved) == (part != "decoder")


def test_freezing_everything_is_refused():
    student = tiny.checkpoint("gpt2")
    with pytest.raises(UserError, match=r"training\.freeze"):
        trainer_of(student, None, "mle", data_of(student), freeze=["decoder"])
