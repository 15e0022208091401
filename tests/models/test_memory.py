"""The estimate of GPU memory against what real training steps and generation allocate, counted on the CPU."""

import weakref

import pytest
import tiny
import torch
import yaml
from fdistill.data.batches import source_batch
from fdistill.data.encoding import Encoded
from fdistill.losses import chunks
from fdistill.losses.objectives import Objective
from fdistill.models import memory
from fdistill.models.language_model import Source
from fdistill.models.students import init_student
from fdistill.sampling.sampler import SamplingConfig, ancestral_sample, sequence_log_probs
from fdistill.training.micro_batches import TrainingData
from fdistill.training.trainer import Trainer
from snake import ROOT
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())

WIDTH, HEADS, VOCABULARY = 128, 4, 3000
FLOAT = 4  # bytes
_BART = {
    "d_model": WIDTH,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 4 * WIDTH,
    "decoder_ffn_dim": 4 * WIDTH,
    "dropout": 0.1,
}
CONFIGS = {
    "bart": _BART,
    "pegasus": _BART,
    "t5": {
        "d_model": WIDTH,
        "d_kv": WIDTH // HEADS,
        "d_ff": 4 * WIDTH,
        "num_layers": 4,
        "num_decoder_layers": 4,
        "num_heads": HEADS,
        "dropout_rate": 0.1,
    },
    "llama": {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "attention_dropout": 0.1,
    },
    "gpt2": {"n_embd": WIDTH, "n_layer": 4, "n_head": HEADS, "resid_pdrop": 0.1, "embd_pdrop": 0.1},
}
LAYERS = {"bart": (2, 1), "pegasus": (2, 1), "t5": (3, 1), "gpt2": (2,), "llama": (2,)}


class Allocated(TorchDispatchMode):
    """The bytes of all tensors allocated while it is active and still alive, and their maximum."""

    def __init__(self, *existing):
        super().__init__()
        self.sizes = {tensor.untyped_storage()._cdata: 0 for tensor in existing}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        self.peak = max(self.peak, self.now)
        return result

    def _count(self, storage):
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._forget, key)

    def _forget(self, key):
        self.now -= self.sizes.pop(key, 0)


def models(family):
    """A teacher and its student."""
    teacher = tiny.checkpoint(family, vocab_size=VOCABULARY, **CONFIGS[family] | _positions(family))
    student = init_student(teacher, dict(zip(teacher.model.family.stacks, LAYERS[family], strict=True)))
    return teacher.model, student.model


def _positions(family):
    key = tiny.FAMILIES[family].positions_key
    return {key: 512} if key else {}


@pytest.fixture(autouse=True, params=[2**24, 2**16], ids=["one chunk", "chunks"])
def as_on_a_gpu(request, monkeypatch):
    """Chunks of one size on either device: all of these small batches at a time, or a part of them."""
    for device in chunks.LOGITS_PER_CHUNK:
        monkeypatch.setitem(chunks.LOGITS_PER_CHUNK, device, request.param)


def measured_step(student, teacher, objective, batch_size, source, target):
    """Bytes at the peak of the second optimiser step, of weights and all that the step allocates."""

    def texts(length):
        return torch.randint(10, VOCABULARY, (batch_size, length)).tolist()

    stored = {k: [[text] for text in texts(target)] for k in ("teacher_samples", "teacher_beam")}
    trainer = Trainer(
        student,
        teacher,
        objective,
        TrainingData(Encoded([str(i) for i in range(batch_size)], texts(source), stored["teacher_beam"]), stored),
        tiny.settings(optimizer="adam", batch_size=batch_size, warmup_steps=1),
        SamplingConfig(target),
        seed=1,
    )
    batches = trainer.batches()
    trainer.step(next(batches))  # the optimiser's states exist from here on
    existing = [*student.module.parameters(), *(teacher.module.parameters() if trainer.learner.teacher else ())]
    existing += [x for states in trainer.optimizer.state.values() for x in states.values() if x.dim()]
    batch = next(batches)
    with Allocated(*existing) as allocated:
        trainer.step(batch)
    return allocated.peak + sum(tensor.nbytes for tensor in existing)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize(("method", "source", "target"), [("mle", 32, 96), ("predistill", 96, 32), ("js", 96, 32)])
def test_estimate_of_a_training_step_is_near_what_it_takes(family, method, source, target):
    teacher, student = models(family)
    objective = Objective.from_config(METHODS[method]["terms"])
    measured = measured_step(student, teacher, objective, 4, source, target)
    size = memory.size_of(student.module, student.family)
    teacher_size = memory.size_of(teacher.module, teacher.family) if objective.needs_teacher else None
    kinds = {kind: objective.needs_teacher_on(kind) for kind in objective.sequences}
    estimate = FLOAT * (
        memory.states(size, teacher_size, "adam", []) + memory.step(size, kinds, 4, source, target, bf16=False)
    )
    assert 0.85 <= estimate / measured <= 1.4, f"{estimate / 1e6:.1f} MB estimated, {measured / 1e6:.1f} MB measured"


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("beams", [1, 4])
def test_estimate_of_generation_is_near_what_it_takes(family, beams):
    _, student = models(family)
    ids = torch.randint(10, VOCABULARY, (8, 64))
    source = Source(ids, torch.ones_like(ids))
    existing = list(student.module.parameters())
    with Allocated(*existing) as allocated:
        student.generate(source, max_new_tokens=48, min_new_tokens=48, num_beams=beams)
    measured = allocated.peak + sum(tensor.nbytes for tensor in existing)
    size = memory.size_of(student.module, student.family)
    estimate = FLOAT * (size.parameters + memory.decoding(size, 8, beams, 64, 48))
    assert 0.6 <= estimate / measured <= 2, f"{estimate / 1e6:.1f} MB estimated, {measured / 1e6:.1f} MB measured"


@pytest.mark.parametrize("family", ["bart", "gpt2"])
def test_what_a_step_of_decoding_takes_with_a_large_vocabulary(family, monkeypatch):
    """The vocabulary-sized numbers outweigh all else; every way to decode stays within the estimate."""
    monkeypatch.setattr(f"{__name__}.VOCABULARY", 60_000)
    _, student = models(family)
    ids = torch.randint(10, VOCABULARY, (16, 8))
    source, existing = Source(ids, torch.ones_like(ids)), list(student.module.parameters())
    ways = {
        "ancestral": lambda: ancestral_sample(student, source, 4, (0,)),
        "top_k": lambda: student.generate(source, max_new_tokens=4, min_new_tokens=4, do_sample=True, top_k=5),
        "beam": lambda: student.generate(source, max_new_tokens=4, min_new_tokens=4, num_beams=4),
    }
    size = memory.size_of(student.module, student.family)
    for way, decode in ways.items():
        with Allocated(*existing) as allocated:
            decode()
        estimate = FLOAT * memory.decoding(size, 16, 4 if way == "beam" else 1, 8, 4)
        assert 1 <= estimate / allocated.peak <= 1.6, f"{way}: {estimate / allocated.peak:.2f}"


def test_estimate_of_scoring_is_near_what_it_takes():
    _, student = models("bart")
    ids = torch.randint(10, VOCABULARY, (8, 64))
    existing = list(student.module.parameters())
    with Allocated(*existing) as allocated:
        sequence_log_probs(student, Source(ids, torch.ones_like(ids)), ids)
    size = memory.size_of(student.module, student.family)
    assert 0.6 <= FLOAT * memory.scoring(size, 8, 64, 64) / allocated.peak <= 2


def test_the_cache_is_as_large_as_it_says(family):
    """Grouped queries and heads of another width than usual included; an encoder-decoder's grows by its own tokens."""
    checkpoint = tiny.checkpoint(family)
    sources, _ = tiny.random_pairs(checkpoint, 1)
    _, state = checkpoint.model.start(checkpoint.model.encode(source_batch(checkpoint.model, sources)))
    cache = state["cache"] if not checkpoint.model.family.is_encoder_decoder else state["cache"].self_attention_cache
    floats = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    length = cache.layers[0].keys.shape[-2]
    assert memory.size_of(checkpoint.model.module, checkpoint.model.family).cache * length == floats


def test_what_costs_memory_raises_the_estimate():
    teacher, student = (memory.size_of(model.module, model.family) for model in models("bart"))
    kinds = {"ground_truth": True}
    base = memory.step(student, kinds, 8, 128, 128, bf16=False)
    assert base < memory.step(student, kinds, 16, 128, 128, bf16=False) <= 2 * base
    assert memory.step(student, kinds | {"student_samples": True}, 8, 128, 128, bf16=False) > base
    assert memory.step(student, {"ground_truth": False}, 8, 128, 128, bf16=False) < base
    assert memory.step(student, kinds, 8, 128, 128, bf16=True) < base
    base = memory.states(student, teacher, "adam", [])
    assert memory.states(student, None, "adam", []) == base - teacher.parameters
    assert memory.states(student, teacher, "adafactor", []) < base
    assert memory.states(student, teacher, "adam", ["embeddings"]) < base
    lora = [memory.states(student, None, "adam", [], rank) for rank in (1, 4)]
    assert student.parameters < lora[0] < lora[1] < memory.states(student, None, "adam", [])
    assert memory.in_bytes(base) > FLOAT * base
