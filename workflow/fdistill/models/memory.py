"""How much GPU memory a stage needs, estimated from shapes alone: no weights are read, nothing is run.

An estimate, not a promise: `tests/test_memory.py` holds it against what real training steps allocate.
"""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from fdistill.losses import chunks
from fdistill.models.families import Family

GIB = 1 << 30
FLOAT = 4  # bytes: weights, gradients and logits are float32, also under bf16 autocast
OPTIMIZER_STATES = {"adam": 2, "adamw": 2, "adafactor": 0}  # floats per trained weight; Adafactor's are factored
CONTEXT = GIB  # what CUDA and its libraries take before the first tensor
SLACK = 1.1  # fragmentation

# Vocabulary-sized floats per target position of a chunk that a training step holds at its peak, per kind of sequence:
# logits, log-probabilities and their gradients, and with a teacher those of both and what lies between. Measured.
LOGITS = {False: 4.2, True: 8.7}
# Sampling and beam search hold a step's logits, scores and probabilities.
STEP_LOGITS = 4
SCORED_LOGITS = 2  # logits and log-probabilities
SCORES = 3  # attention matrices kept per layer where attention is not fused: scores, softmax, dropout


@dataclass(frozen=True)
class Size:
    """What a model's memory depends on, besides lengths and batches."""

    parameters: int
    parts: dict[str, int]  # parameters of each part that can be frozen
    encoder: int  # floats that an encoder pass keeps for backward, per source token; 0 without an encoder
    decoder: int  # the same per token of the decoder
    depth: int  # layers of the deeper stack
    cache: int  # floats of the key-value cache per decoder token
    width: int  # of hidden states
    heads: int  # attention matrices per encoder or decoder pass: layers times heads; 0 where attention is fused
    vocabulary: int


def size_of(module: PreTrainedModel, family: Family) -> Size:
    """The size of a model, which may be on the meta device (shapes without numbers)."""
    config = module.config
    stacks = {name: module.get_submodule(stack.module) for name, stack in family.stacks.items()}
    depth = {name: getattr(config, stack.size_key) for name, stack in family.stacks.items()}
    parts = {name: _count(stack) for name, stack in stacks.items()}
    parts["embeddings"] = sum(_count(module.get_submodule(name)) for name in family.embeddings)
    fused = family.positions_key is not None  # a learned bias per head and pair of positions keeps T5's unfused
    return Size(
        parameters=_count(module),
        parts=parts,
        encoder=_activations(stacks["encoder"]) if "encoder" in stacks else 0,
        decoder=_activations(stacks["decoder"]),
        depth=max(depth.values()),
        cache=2 * depth["decoder"] * config.hidden_size,
        width=config.hidden_size,
        heads=0 if fused else max(depth.values()) * config.num_attention_heads,
        vocabulary=config.vocab_size,
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _activations(stack: nn.Module) -> int:
    """Floats kept per token: about the inputs and outputs of the linear maps.

    For a layer of width d and 4d that is 18 d, where Korthikanti et al. 2023 count 17 d without the attention matrix.
    """
    return sum(_width(module) for module in stack.modules())


def _width(module: nn.Module) -> int:
    if isinstance(module, nn.Linear):
        return module.in_features + module.out_features
    if isinstance(module, Conv1D):  # GPT-2's linear map; twice, because its GELU is written out in five operations
        return 2 * (module.nx + module.nf)
    return 0


def states(model: Size, teacher: Size | None, optimizer: str, freeze: list[str]) -> float:
    """Floats that training keeps throughout: weights, gradients, the optimiser's states, the teacher's weights."""
    trained = model.parameters - sum(model.parts[part] for part in freeze)
    own = model.parameters + trained * (1 + OPTIMIZER_STATES[optimizer])
    return own + (teacher.parameters if teacher else 0)


def step(student: Size, kinds: dict[str, bool], batch_size: int, source: int, target: int, bf16: bool) -> float:
    """Floats that an optimiser step adds at its peak, in the loss: the teacher's own pass is over by then.

    `kinds` says of each kind of sequence whether the teacher's distributions on it are compared; `source` and `target`
    are the longest lengths in tokens.
    """
    activations = batch_size * _kept(student, source, target, len(kinds)) * (0.5 if bf16 else 1)
    positions = batch_size * target
    chunk = _chunk(positions, student.vocabulary)
    logits = [chunk * student.vocabulary * LOGITS[with_teacher] for with_teacher in kinds.values()]
    if chunk == positions:  # all is kept for the backward pass
        return activations + sum(logits)
    output = student.vocabulary * student.width  # the gradient of the output layer, of all kinds and of a chunk
    return activations + max(logits) + (len(kinds) + 1) * output


def _chunk(positions: int, vocabulary: int) -> int:
    """Of how many positions there are logits at a time."""
    return min(positions, chunks.chunk_size(vocabulary, torch.device("cuda")))


def _kept(size: Size, source: int, target: int, halves: int) -> float:
    """Floats kept of one example's forward pass; a source is read once, whatever the number of halves.

    A decoder-only model's keys and values of the source stand before those of each half.
    """
    if size.encoder:
        floats = source * size.encoder + halves * target * size.decoder
        pairs = source * source + halves * target * (source + target)
    else:
        floats = (source + halves * target) * size.decoder + halves * (source + target) * size.cache
        pairs = source * source + halves * target * (source + target)
    return floats + SCORES * size.heads * pairs


def _passing(size: Size, batch_size: int, source: int, target: int) -> float:
    """Floats of a pass without gradients: about half of what one layer would keep for backward."""
    return batch_size * _kept(size, source, target, 1) / size.depth / 2


def decoding(size: Size, batch_size: int, beams: int, source: int, target: int) -> float:
    """Floats that generation or sampling adds at its peak."""
    rows = batch_size * beams
    cache = rows * (source + target) * size.cache
    passing = _passing(size, batch_size if size.encoder else rows, source, 1)  # a prompt is read once per beam
    return cache + passing + rows * size.vocabulary * STEP_LOGITS


def scoring(size: Size, batch_size: int, source: int, target: int) -> float:
    """Floats that the log-probabilities of given sequences add at their peak."""
    return (
        _passing(size, batch_size, source, target)
        + _chunk(batch_size * target, size.vocabulary) * size.vocabulary * SCORED_LOGITS
    )


def in_bytes(floats: float) -> int:
    """GPU memory for so many floats."""
    return round(FLOAT * floats * SLACK) + CONTEXT
