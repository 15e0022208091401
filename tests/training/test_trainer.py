"""The training loop: what one step computes, and that runs of steps learn, stop, repeat and remember as they
should.
"""

import math
from collections import Counter
from itertools import product

import pytest
import tiny
import torch
import yaml
from fdistill.data.batches import label_batch, source_batch
from fdistill.data.encoding import Encoded
from fdistill.losses.objectives import IGNORE, STUDENT_SAMPLES, Objective
from fdistill.models.language_model import LanguageModel
from fdistill.models.students import init_student
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import Samples, SamplingConfig, ancestral_sample, sample_batch, sequence_log_probs
from fdistill.training import learner, trainer
from fdistill.training.micro_batches import MicroBatch, TrainingData
from fdistill.training.trainer import Trainer
from snake import ROOT

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())
MAX_NEW = 6
ANCESTRAL = SamplingConfig(MAX_NEW)


def objective(name):
    return Objective.from_config(METHODS[name]["terms"])


def data_of(made, count=8, seed=0):
    """A training split with stored teacher sequences: three samples and one hard sequence per example."""
    sources, targets = tiny.random_pairs(made, count, seed=seed)
    samples = [tiny.random_pairs(made, count, seed=seed + 1 + i)[1] for i in range(3)]
    stored = {
        "teacher_samples": [list(one) for one in zip(*samples, strict=True)],
        "teacher_beam": [[t] for t in targets],
    }
    return TrainingData(Encoded([str(i) for i in range(count)], sources, [[target] for target in targets]), stored)


def trainer_of(made, teacher, name, data, seed=0, sampling=ANCESTRAL, **settings):
    chosen = tiny.settings(**settings)
    terms = objective(name) if isinstance(name, str) else name
    return Trainer(made.model, teacher.model if teacher else None, terms, data, chosen, sampling, seed)


def micro_batches(trainer, size):
    """The whole training split in its own order, in micro-batches of `size`."""
    train, kinds = trainer.data.train, [k for k in trainer.learner.objective.sequences if k != STUDENT_SAMPLES]
    groups = [range(i, i + size) for i in range(0, len(train), size)]
    return [
        MicroBatch(
            source_batch(trainer.student, [train.sources[i] for i in group]),
            {k: label_batch([trainer.data.sequences(k, i, 0) for i in group], "cpu") for k in kinds},
            list(group),
            [train.ids[i] for i in group],
        )
        for group in groups
    ]


@pytest.fixture(params=["bart", "t5", "gpt2"])
def family(request) -> str:
    """One family of each architecture: BART's kin differ in what test_models and test_teachers look at."""
    return request.param


@pytest.fixture
def pair(family):
    """A teacher of four layers and a random student of two."""
    deep = dict.fromkeys(tiny.LAYER_KEYS[family], 4)
    return tiny.checkpoint(family, seed=1, **deep), tiny.checkpoint(family, seed=2)


@pytest.fixture
def fixed_samples(monkeypatch):
    """Student samples that depend on the source alone, so that no split of a batch changes them."""

    def sequence(model, source):
        letters = tiny.letter_ids(model)
        length = 1 + sum(source) % (MAX_NEW - 1)
        eos = [model.model.eos_token_id] if sum(source) % 3 else []
        return [letters[(token + t) % len(letters)] for t, token in zip(range(length), source * 6, strict=False)] + eos

    def install(made):
        def sample(model, source, *_):
            mask = source.attention_mask.bool()
            rows = [sequence(made, ids[m].tolist()) for ids, m in zip(source.input_ids, mask, strict=True)]
            return Samples(label_batch(rows, "cpu"), None)

        monkeypatch.setattr(learner, "sample_batch", sample)
        return lambda source: sequence(made, source)

    return install


def gradients_of_step(trainer, batches):
    """The loss of one step and the gradients that reach the optimiser."""
    seen = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: seen.extend(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trainer.trainable)
    )
    return trainer.step(batches), seen


# --- what one step computes


@pytest.mark.parametrize("name", ["mle", "js", "js_exact", "predistill"])
def test_accumulation_is_the_mean_over_the_whole_batch(pair, fixed_samples, name):
    """Batch (8, 1) equals (2, 4), lengths unequal: the denominator is that of the effective batch."""
    teacher, student = pair
    fixed_samples(student)
    data = data_of(student)
    lengths = [sum(map(len, data.train.targets[i : i + 2])) for i in range(0, 8, 2)]
    assert len(set(lengths)) > 1
    results = []
    for size in (8, 2):
        fresh = tiny.checkpoint(next(f for f in tiny.CONFIGS if f == student.model.module.config.model_type), seed=2)
        trainer = trainer_of(fresh, teacher, name, data)
        results.append(gradients_of_step(trainer, micro_batches(trainer, size)))
    (whole, grads), (parts, accumulated) = results
    assert whole == pytest.approx(parts, rel=1e-5)
    assert sum(g.abs().sum() for g in grads) > 0
    for one, other in zip(grads, accumulated, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * max(1.0, one.abs().max().item()))


def naive_mixture_half(p, q, side):
    m = (p + q) / 2
    one = p if side == "p" else q
    return (one * (one / m).log()).sum(-1)


NAIVE = {  # (kind of sequence, weight, per-position value from probabilities p and q)
    "mle": [("ground_truth", 1.0, None)],
    "seqkd": [("teacher_beam", 1.0, None)],
    "engine": [("student", 1.0, lambda p, q: -(q * p.log()).sum(-1))],
    "kl": [("teacher_samples", 1.0, lambda p, q: (p * (p / q).log()).sum(-1))],
    "rkl": [("student", 1.0, lambda p, q: (q * (q / p).log()).sum(-1))],
    "js": [
        ("teacher_samples", 0.5, lambda p, q: naive_mixture_half(p, q, "p")),
        ("student", 0.5, lambda p, q: naive_mixture_half(p, q, "q")),
    ],
    "tvd": [
        ("teacher_samples", 0.5, lambda p, q: 0.5 * (p - q).abs().sum(-1)),
        ("student", 0.5, lambda p, q: 0.5 * (p - q).abs().sum(-1)),
    ],
}


@pytest.mark.parametrize("name", NAIVE)
def test_loss_of_each_method_from_single_unpadded_examples(pair, fixed_samples, name):
    """Every target position once (the first too), no prompt token, nothing after EOS."""
    teacher, student = pair
    sample = fixed_samples(student)
    data = data_of(student)
    trainer = trainer_of(student, teacher, name, data)
    expected = 0.0
    with torch.no_grad():
        for kind, weight, value in NAIVE[name]:
            total, count = 0.0, 0
            for i, source in enumerate(data.train.sources):
                target = sample(source) if kind == "student" else data.sequences(kind, i, 0)
                log_q = tiny.reference_log_probs(student.model, source, target)
                if value is None:
                    total -= sum(log_q[t, token] for t, token in enumerate(target)).item()
                else:
                    p = tiny.reference_log_probs(teacher.model, source, target).double().exp()
                    total += value(p, log_q.double().exp()).sum().item()
                count += len(target)
            expected += weight * total / count
    assert trainer.step(micro_batches(trainer, 4)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("normalize", [False, True])
def test_predistillation_combines_its_three_parts(pair, normalize):
    """0.8 τ² KL + 1.0 CE + 3.0 hidden MSE, teacher layers 2 and 4 supervising student layers 1 and 2."""
    teacher, student = pair
    tau, data = 2.0, data_of(student)
    terms = Objective.from_config(
        [
            {"sequences": "ground_truth", "loss": "kl", "weight": 0.8, "temperature": tau},
            {"sequences": "ground_truth", "loss": "nll", "weight": 1.0},
            {
                "sequences": "ground_truth",
                "loss": "hidden_mse",
                "weight": 3.0,
                "parameters": {"normalize": normalize},
            },
        ]
    )
    encoder = student.model.family.is_encoder_decoder
    kl = ce = 0.0
    squares, counts = Counter(), Counter()
    with torch.no_grad():
        for source, target in zip(data.train.sources, data.train.targets, strict=True):
            log_p, log_q = (tiny.reference_log_probs(m.model, source, target) for m in (teacher, student))
            p, q = ((x.double() / tau).softmax(-1) for x in (log_p, log_q))
            kl += (p * (p / q).log()).sum().item()
            ce -= sum(log_q[t, token] for t, token in enumerate(target)).item()
            outputs = [tiny.reference_outputs(m.model, source, target) for m in (teacher, student)]
            stacks = ("encoder_hidden_states", "decoder_hidden_states") if encoder else ("hidden_states",)
            for stack in stacks:
                begin = 0 if encoder else len(source) - 1
                length = len(source) if stack == "encoder_hidden_states" else len(target)
                for student_layer, teacher_layer in ((1, 2), (2, 4)):  # index 0 is the embedding's output
                    for t in range(begin, begin + length):
                        h = [
                            getattr(output, stack)[layer][0, t]
                            for output, layer in zip(outputs, (teacher_layer, student_layer), strict=True)
                        ]
                        if normalize:
                            h = [(x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() for x in h]
                        squares[stack, student_layer] += ((h[0] - h[1]) ** 2).mean().item()
                        counts[stack, student_layer] += 1
    positions = sum(map(len, data.train.targets))
    mse = sum(squares[key] / counts[key] for key in squares)
    assert len(squares) == (4 if encoder else 2)
    expected = 0.8 * tau**2 * kl / positions + ce / positions + 3.0 * mse
    trainer = trainer_of(student, teacher, terms, data)
    assert trainer.step(micro_batches(trainer, 8)) == pytest.approx(expected, rel=1e-3)


# --- who runs, how often, in which mode


def record_forwards(module, log, name):
    def hook(module, *_):
        log.append((name, module.training, torch.is_grad_enabled()))

    module.register_forward_hook(hook)


def test_each_source_is_encoded_once_and_the_teacher_never_builds_a_graph():
    """js has two halves; both share one encoding. The student's second one is the sampler's."""
    for family in ("bart", "t5"):
        teacher, student = (
            tiny.checkpoint(family, seed=1),
            tiny.checkpoint(family, seed=2, **tiny.DROPOUT[family]),
        )
        teacher.model.module.train()  # its dropout, too, must be off
        log = []
        for name, made in (("teacher", teacher), ("student", student)):
            record_forwards(made.model.module.get_encoder(), log, name)
            record_forwards(made.model.module.get_decoder(), log, f"{name} decoder")
        trainer = trainer_of(student, teacher, "js", data_of(student))
        trainer.step(micro_batches(trainer, 8))
        assert [entry for entry in log if entry[0] == "teacher"] == [("teacher", False, False)]
        assert [entry for entry in log if entry[0] == "teacher decoder"] == [("teacher decoder", False, False)] * 2
        assert [e for e in log if e[0] == "student"] == [("student", False, False), ("student", True, True)]
        assert [e for e in log if e[0] == "student decoder" and e[2]] == [("student decoder", True, True)] * 2
        assert all(p.grad is None and not p.requires_grad for p in teacher.model.module.parameters())


@pytest.mark.parametrize("name", [name for name in METHODS if STUDENT_SAMPLES in objective(name).sequences])
def test_dropout_is_off_while_sampling_and_on_while_training(family, name):
    teacher, student = (
        tiny.checkpoint(family, seed=1),
        tiny.checkpoint(family, seed=2, **tiny.DROPOUT[family]),
    )
    log = []
    record_forwards(student.model.module, log, "student")
    trainer = trainer_of(student, teacher, name, data_of(student))
    trainer.step(micro_batches(trainer, 8))
    sampling = [training for _, training, grad in log if not grad]
    learning = [training for _, training, grad in log if grad]
    assert sampling and not any(sampling)
    assert learning and all(learning)


@pytest.mark.parametrize("name", ["js", "rkl"])
def test_a_source_is_encoded_once_where_that_changes_nothing(pair, name, monkeypatch):
    """Without dropout, and of one micro-batch; the loss and its gradients are those of encoding it again."""
    teacher, student = pair
    encoded, encode = [], student.model.encode
    monkeypatch.setattr(student.model, "encode", lambda *arguments: encoded.append(1) or encode(*arguments))
    found = []
    for size, has_dropout, times in ((8, False, 1), (8, True, 2), (4, False, 4)):
        monkeypatch.setattr(LanguageModel, "has_dropout", has_dropout)
        trainer = trainer_of(student, teacher, name, data_of(student), learning_rate=1e-9)
        encoded.clear()
        found.append(gradients_of_step(trainer, micro_batches(trainer, size)))
        assert len(encoded) == times
    (loss, gradients), *others = found
    for other, theirs in others:
        assert other == pytest.approx(loss, rel=1e-5)
        for one, two in zip(gradients, theirs, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-6)


def test_who_has_dropout_is_known(family):
    assert not tiny.checkpoint(family).model.has_dropout
    assert tiny.checkpoint(family, **tiny.DROPOUT[family]).model.has_dropout


@pytest.mark.parametrize("name", ["seqkd", "mle"])
def test_methods_on_hard_sequences_run_no_teacher(pair, name):
    teacher, student = pair
    log = []
    record_forwards(teacher.model.module, log, "teacher")
    trainer = trainer_of(student, teacher, name, data_of(student))
    trainer.step(micro_batches(trainer, 8))
    assert log == [] and trainer.learner.teacher is None
    alone = trainer_of(student, None, name, data_of(student))
    assert math.isfinite(alone.step(micro_batches(alone, 8)))


def test_methods_that_compare_distributions_ask_for_a_teacher():
    student = tiny.checkpoint("gpt2")
    with pytest.raises(UserError, match="--teacher"):
        trainer_of(student, None, "kl", data_of(student))


def test_samples_come_from_the_current_student(pair, monkeypatch):
    """Drawn anew at each step, of the weights at that step."""
    teacher, student = pair
    seen = []

    def watched(model, *arguments):
        weights = torch.cat([p.detach().flatten() for p in model.module.parameters()])
        seen.append((weights.clone(), sample_batch(model, *arguments)))
        return seen[-1][1]

    monkeypatch.setattr(learner, "sample_batch", watched)
    trainer = trainer_of(student, teacher, "rkl", data_of(student), learning_rate=0.05)
    for _ in range(3):
        before = torch.cat([p.detach().flatten().clone() for p in student.model.module.parameters()])
        trainer.step(micro_batches(trainer, 8))
        assert torch.equal(seen[-1][0], before)
    assert not torch.equal(seen[0][0], seen[2][0])


# --- learning


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
    data = TrainingData(train, {"teacher_samples": samples, "teacher_beam": hard})

    trainer = trainer_of(
        student, teacher, name, data, batch_size=16, learning_rate=5e-3, sampling=SamplingConfig(length)
    )

    def loss_now():
        """The objective on one large batch, samples drawn with fixed random numbers."""
        (batch,) = micro_batches(trainer, 64)
        if STUDENT_SAMPLES in trainer.learner.objective.sequences:
            batch.labels[STUDENT_SAMPLES] = ancestral_sample(student.model, batch.source, length, [1]).labels
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


@pytest.mark.parametrize("optimizer", trainer.OPTIMIZERS)
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


# --- numbers that are not finite, and memory that is not enough


def weights_of(made):
    return [p.detach().clone() for p in made.model.module.parameters()]


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
        history = trainer.run(nothing, "nll", higher_is_better=False, keep_last=True)
    assert sorted(seen) == [1, 4, 5, 6]
    named = [f"step {step} skipped ({step - 1} in a row): the {what} is not finite; examples: " for step in (2, 3)]
    for line, batches, begin in zip(caplog.messages, effective[1:3], named, strict=True):
        guilty = batches[1].ids if what == "loss" else [name for batch in batches for name in batch.ids]
        assert line == begin + ", ".join(guilty)
    assert [line["learning_rate"] for line in history if "loss" in line] == pytest.approx([0.5e-2, 0.0])
    assert all(math.isfinite(line["loss"]) for line in history if "loss" in line)
    assert all(torch.isfinite(weight).all() for weight in weights_of(student))


def test_without_a_step_there_is_no_loss_in_the_history():
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 24), batch_size=4, max_skipped_steps=9, epochs=2)
    spoil(trainer, range(1, 7), "loss")
    real = trainer.learner.loss
    # A micro-batch a step: spoil it.
    trainer.learner.loss = lambda batch, counts: real(batch, counts) + real(batch, counts)
    history = trainer.run(nothing, "nll", higher_is_better=False)
    assert [("loss" in line, line["step"]) for line in history] == [(False, 6), (True, 12), (False, 12)]


@pytest.mark.parametrize("allowed", [0, 2])
def test_too_many_skipped_in_a_row_end_training_with_what_to_try(allowed):
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 80), max_skipped_steps=allowed)
    with torch.no_grad():
        next(student.model.module.parameters())[5] = math.inf
    before = weights_of(student)
    advice = r"max_skipped_steps = \d; lower learning_rate.*precision fp32.*texts: \d+, "
    with pytest.raises(UserError, match=advice) as error:
        trainer.run(nothing, "nll", higher_is_better=False)
    assert f"step {allowed + 1}, and {allowed + 1} steps in a row were skipped" in str(error.value)
    assert all(map(torch.equal, before, weights_of(student)))


@pytest.mark.parametrize("name", ["mle", "predistill", "js", "js_exact", "tvd", "rkl", "engine"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_extreme_logits_give_finite_losses_and_gradients(name, precision):
    """Logits of some 1e4, where an exponential overflows any format and bf16 has steps of 64: losses are in float32."""
    teacher, student = tiny.checkpoint("gpt2", seed=1), tiny.checkpoint("gpt2", seed=2)
    for made in (teacher, student):
        with torch.no_grad():
            made.model.module.get_output_embeddings().weight.mul_(3e3)
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
    losses, answers = [], []
    for fits in (4, 2):
        fresh = tiny.checkpoint(family, seed=2)
        data, settings = data_of(fresh, 24), {"batch_size": 4, "accumulation": 2, "evaluate_every": 0.3}
        trainer = trainer_of(fresh, teacher, name, data, **settings)
        memory = SmallMemory(trainer, fits, begin=2)
        history = trainer.run(nothing, "nll", higher_is_better=False, keep_last=True)
        losses.append([line["loss"] for line in history if "loss" in line])
        pairs = zip(data.train.sources, data.train.targets, strict=True)
        with torch.no_grad():
            answers.append(torch.cat([tiny.reference_log_probs(fresh.model, source, y) for source, y in pairs]))
    assert memory.sizes == {4: 2, 2: 8} and trainer.state.halved
    said = "not enough GPU memory at step 2: from here on micro-batches of 2 and accumulation 4 instead of 4 and 2"
    assert sum(said in line for line in caplog.messages) == 1
    assert len(losses[0]) == 3 and losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(*answers, rtol=1e-3, atol=1e-3)


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
        trainer.run(nothing, "nll", higher_is_better=False)
    assert trainer.state.halved == (batch_size > 1)


# --- whole runs


def nothing(model):
    return {"nll": 0.0}


def run_bytes(seed, name="js", disturb=0, sampling=ANCESTRAL):
    teacher = tiny.checkpoint("bart", seed=1)
    student = init_student(teacher, {"encoder": 1, "decoder": 1})
    student.model.module.config.dropout = 0.3
    for module in student.model.module.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.3
    torch.manual_seed(disturb)
    trainer = trainer_of(student, teacher, name, data_of(student, 24), seed, sampling, epochs=2)
    trainer.run(nothing, "nll", higher_is_better=True)
    return b"".join(p.detach().numpy().tobytes() for p in student.model.module.parameters())


BEAM_SAMPLE = SamplingConfig(MAX_NEW, "beam_sample", {"num_beams": 2, "top_k": 4})


@pytest.mark.parametrize(("name", "sampling"), [("mle", ANCESTRAL), ("js", ANCESTRAL), ("js", BEAM_SAMPLE)])
def test_a_seed_decides_the_weights_to_the_byte(name, sampling):
    first = run_bytes(1, name, sampling=sampling)
    assert run_bytes(1, name, sampling=sampling, disturb=7) == first
    assert run_bytes(2, name, sampling=sampling) != first


def test_how_the_student_samples_reaches_its_steps():
    assert run_bytes(1, "js", sampling=BEAM_SAMPLE) != run_bytes(1, "js")
    assert run_bytes(1, "mle", sampling=BEAM_SAMPLE) == run_bytes(1, "mle")  # which has no samples


class Scripted:
    """A scorer with prepared values that remembers the weights it was shown."""

    def __init__(self, values):
        self.values, self.shown = list(values), []

    def __call__(self, model):
        self.shown.append({k: v.clone() for k, v in model.module.state_dict().items()})
        return {"score": self.values[len(self.shown) - 1], "other": 0.0}


@pytest.mark.parametrize(
    ("values", "higher", "patience", "evaluations", "best"),
    [
        ([1, 3, 2, 2, 2, 9], True, 2, 4, 1),
        ([1, 3, 2, 4, 2, 2], True, 2, 6, 3),  # a better one resets the patience
        ([5, 3, 4, 3, 9, 1], False, 2, 4, 1),  # lower is better; equal is not better
        ([1, 3, 2, 2, 2, 2], True, None, 6, 1),
        ([6, 5, 4, 3, 2, 1], False, 1, 6, 5),
    ],
)
def test_early_stopping_and_the_best_weights(values, higher, patience, evaluations, best):
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 16), epochs=6, patience=patience)
    scorer = Scripted(values)
    history = trainer.run(scorer, "score", higher_is_better=higher)
    assert len(scorer.shown) == evaluations
    final = student.model.module.state_dict()
    assert all(torch.equal(final[key], value) for key, value in scorer.shown[best].items())
    assert any(not torch.equal(final[k], v) for k, v in scorer.shown[best - 1].items())
    assert [line["dev"]["score"] for line in history if "dev" in line] == values[:evaluations]
    assert [line["step"] for line in history if "loss" in line] == [2 * (i + 1) for i in range(evaluations)]
    assert not student.model.module.training


def test_the_last_weights_are_kept_when_asked_for():
    student = tiny.checkpoint("gpt2")
    scorer = Scripted([1, 3, 2])
    trainer = trainer_of(student, None, "mle", data_of(student, 16), epochs=3)
    history = trainer.run(scorer, "score", higher_is_better=True, keep_last=True)
    final = student.model.module.state_dict()
    assert all(torch.equal(final[key], value) for key, value in scorer.shown[2].items())
    assert any(not torch.equal(final[key], value) for key, value in scorer.shown[1].items())
    assert [line["dev"]["score"] for line in history if "dev" in line] == [1, 3, 2]


@pytest.mark.parametrize(
    ("settings", "steps", "evaluated"),
    [
        ({"epochs": 2}, 6, [3, 6]),  # 20 examples in batches of 8: three steps an epoch
        ({"epochs": 0.7}, 2, [2]),
        ({"epochs": 5, "max_steps": 4}, 4, [3, 4]),
        ({"epochs": 1, "max_steps": 40}, 3, [3]),
        ({"epochs": 2, "evaluate_every": 0.5}, 6, [2, 4, 6]),
        ({"epochs": 2, "accumulation": 2}, 4, [2, 4]),
        ({"epochs": 0}, 0, []),
    ],
)
def test_length_of_a_run(settings, steps, evaluated):
    student = tiny.checkpoint("gpt2")
    before = {k: v.clone() for k, v in student.model.module.state_dict().items()}
    trainer = trainer_of(student, None, "mle", data_of(student, 20), **settings)
    taken = []
    trainer.optimizer.register_step_post_hook(lambda *_: taken.append(1))
    history = trainer.run(nothing, "nll", higher_is_better=False)
    assert len(taken) == steps
    assert [line["step"] for line in history if "dev" in line] == evaluated
    changed = any(not torch.equal(before[k], v) for k, v in student.model.module.state_dict().items())
    assert changed == (steps > 0)


def test_learning_rate_warms_up_and_decays_to_zero():
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 80), learning_rate=1e-2, warmup_steps=4)
    rates = []
    trainer.optimizer.register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    trainer.run(nothing, "nll", higher_is_better=False)
    expected = [i / 4 for i in range(4)] + [(10 - i) / 6 for i in range(4, 10)]
    assert rates == pytest.approx([1e-2 * e for e in expected])
    assert trainer.schedule.get_last_lr()[0] == pytest.approx(0, abs=1e-12)


def test_every_example_once_an_epoch_with_its_own_sequences():
    """Source and labels stay together through shuffling and padding; samples take turns by epoch."""
    student = tiny.checkpoint("gpt2")
    data = data_of(student, 21)
    teacher = tiny.checkpoint("gpt2", seed=1)
    trainer = trainer_of(student, teacher, "js", data, batch_size=4, accumulation=2)
    stream = trainer.batches()
    for epoch in range(4):
        effective = [next(stream) for _ in range(3)]
        assert [len(batches) for batches in effective] == [2, 2, 2]
        seen = Counter()
        for batch in (b for batches in effective for b in batches):
            assert set(batch.labels) == {"teacher_samples"}
            rows = zip(
                batch.source.input_ids,
                batch.source.attention_mask,
                batch.labels["teacher_samples"],
                strict=True,
            )
            for ids, mask, labels in rows:
                seen[tuple(ids[mask.bool()].tolist()), tuple(labels[labels != IGNORE].tolist())] += 1
        samples = [one[epoch % 3] for one in data.stored["teacher_samples"]]
        assert seen == Counter((tuple(s), tuple(y)) for s, y in zip(data.train.sources, samples, strict=True))


def test_several_references_are_learnt_in_turn():
    data = data_of(tiny.checkpoint("bart"), 4)
    second = [[*target[:-1], target[0], target[-1]] for target in data.train.targets]
    train = Encoded(
        data.train.ids, data.train.sources, [list(pair) for pair in zip(data.train.targets, second, strict=True)]
    )
    turns = [[TrainingData(train, {}).sequences("ground_truth", i, epoch) for i in range(4)] for epoch in range(3)]
    assert turns == [data.train.targets, second, data.train.targets]
