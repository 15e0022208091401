"""Estimates of the GPU memory that training, decoding and scoring need, from a model's shapes alone.

The functions return numbers of floats; `in_bytes` converts them. `tests/models/test_memory.py` compares the estimates
with what real training steps and generation allocate.
"""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from fdistill.losses import chunks
from fdistill.models.families import Family

GIB = 1 << 30
FLOAT = 4  # bytes: weights, gradients and logits are float32, also under bf16 autocast
OPTIMIZER_STATES = {"adam": 2, "adamw": 2, "adafactor": 0}  # floats per trained weight; Adafactor's are factored
CONTEXT = GIB  # bytes that CUDA and its libraries allocate before the first tensor
SLACK = 1.1  # factor for fragmentation

# Vocabulary-sized floats per target position of a chunk. In a training step at its peak, without and with the teacher's
# distributions (measured): logits, log-probabilities and gradients of one or both models, and intermediate values.
LOGITS = {False: 4.2, True: 8.7}
STEP_LOGITS = 7  # in a step of top-k sampling (measured); beam search has 6, the sampler's float64 sums make 5
SCORED_LOGITS = 2  # in scoring: logits and log-probabilities
# Attention matrices stored per layer where attention is not fused: scores, softmax, dropout.
SCORES = 3


@dataclass(frozen=True)
class Size:
    """The shapes of a model that its memory depends on."""

    parameters: int
    parts: dict[str, int]  # parameters of each part that can be frozen
    encoder: int  # floats that the encoder stores for the backward pass, per source token; 0 without an encoder
    decoder: int  # the same for the decoder, per decoder token
    depth: int  # layers of the deeper stack
    cache: int  # floats of the key-value cache per decoder token
    width: int  # of hidden states
    heads: int  # attention matrices per encoder or decoder pass: layers times heads; 0 if attention is fused
    vocabulary: int


def size_of(module: PreTrainedModel, family: Family) -> Size:
    """Return the size of a model, which may be on torch's meta device (shapes without numbers)."""
    config = module.config
    stacks = {name: module.get_submodule(stack.module) for name, stack in family.stacks.items()}
    depth = {name: getattr(config, stack.size_key) for name, stack in family.stacks.items()}
    parts = {name: _count(stack) for name, stack in stacks.items()}
    parts["embeddings"] = sum(_count(module.get_submodule(name)) for name in family.embeddings)
    # T5 has relative positions: a learned bias per head and pair of positions, which prevents fused attention. So do
    # Gemma 2's capped scores.
    fused = family.positions_key is not None and getattr(config, "attn_logit_softcapping", None) is None
    return Size(
        parameters=_count(module),
        parts=parts,
        encoder=_activations(stacks["encoder"]) if "encoder" in stacks else 0,
        decoder=_activations(stacks["decoder"]),
        depth=max(depth.values()),
        cache=2 * depth["decoder"] * _keys_width(config),
        width=config.hidden_size,
        heads=0 if fused else max(depth.values()) * config.num_attention_heads,
        vocabulary=config.vocab_size,
    )


def _keys_width(config: PreTrainedConfig) -> int:
    """Return the width of a layer's keys, which is that of its values: grouped queries share those of a head."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _activations(stack: nn.Module) -> int:
    """Return the floats stored per token for the backward pass: about the inputs and outputs of the linear maps.

    For a layer of widths d and 4d that is 18 d; Korthikanti et al. 2023 count 17 d without the attention matrix.
    """
    return sum(_width(module) for module in stack.modules())


def _width(module: nn.Module) -> int:
    if isinstance(module, nn.Linear):
        return module.in_features + module.out_features
    if isinstance(module, Conv1D):  # GPT-2's linear map; twice, because its GELU is written out in five operations
        return 2 * (module.nx + module.nf)
    return 0


def states(model: Size, teacher: Size | None, optimizer: str, freeze: list[str], lora_rank: int | None = None) -> float:
    """Return the floats that training always holds: weights, gradients, optimiser states, the teacher's weights.

    With LoRA of rank `lora_rank`, all linear maps of the layers have changes.
    """
    trained, added = model.parameters - sum(model.parts[part] for part in freeze), 0
    if lora_rank is not None:  # as many weights for each input and each output of a linear map
        trained = added = lora_rank * (model.encoder + model.decoder)
    own = model.parameters + added + trained * (1 + OPTIMIZER_STATES[optimizer])
    return own + (teacher.parameters if teacher else 0)


def step(student: Size, kinds: dict[str, bool], batch_size: int, source: int, target: int, bf16: bool) -> float:
    """Return the floats that an optimiser step adds at its peak: in the loss, after the teacher's forward pass.

    `kinds` says for each kind of sequence whether its losses read the teacher's distributions; `source` and `target`
    are the longest lengths in tokens.
    """
    activations = batch_size * _stored(student, source, target, len(kinds)) * (0.5 if bf16 else 1)
    positions = batch_size * target
    chunk = _chunk(positions, student.vocabulary)
    logits = [chunk * student.vocabulary * LOGITS[with_teacher] for with_teacher in kinds.values()]
    if chunk == positions:  # a single chunk per kind, stored until the backward pass
        return activations + sum(logits)
    output_layer = student.vocabulary * student.width  # one gradient per kind, and that of the current chunk
    return activations + max(logits) + (len(kinds) + 1) * output_layer


def _chunk(positions: int, vocabulary: int) -> int:
    """Return the number of positions whose logits are in memory at a time."""
    return min(positions, chunks.chunk_size(vocabulary, torch.device("cuda")))


def _stored(size: Size, source: int, target: int, kinds: int) -> float:
    """Return the floats stored of one example's forward pass, for a number of kinds of sequence.

    A source is encoded once for all kinds. A decoder-only model repeats the source's keys and values for each kind.
    """
    if size.encoder:
        floats = source * size.encoder + kinds * target * size.decoder
        pairs = source * source + kinds * target * (source + target)
    else:
        floats = (source + kinds * target) * size.decoder + kinds * (source + target) * size.cache
        pairs = source * source + kinds * target * (source + target)
    return floats + SCORES * size.heads * pairs


def _without_gradients(size: Size, batch_size: int, source: int, target: int) -> float:
    """Return the floats of a forward pass without gradients: about half of what one layer would store with them."""
    return batch_size * _stored(size, source, target, 1) / size.depth / 2


def decoding(size: Size, batch_size: int, beams: int, source: int, target: int) -> float:
    """Return the floats that sampling or beam search adds at its peak; lengths `source` and `target` are in tokens."""
    rows = batch_size * beams
    cache = rows * (source + target) * size.cache
    # An encoder reads a source once, a decoder-only model once per beam.
    encoding = _without_gradients(size, batch_size if size.encoder else rows, source, 1)
    return cache + encoding + rows * size.vocabulary * STEP_LOGITS


def scoring(size: Size, batch_size: int, source: int, target: int) -> float:
    """Return the floats that scoring adds at its peak: computing the log-probabilities of given sequences."""
    return (
        _without_gradients(size, batch_size, source, target)
        + _chunk(batch_size * target, size.vocabulary) * size.vocabulary * SCORED_LOGITS
    )


def in_bytes(floats: float) -> int:
    """Return the GPU memory in bytes that a number of floats takes, CUDA's own included."""
    return round(FLOAT * floats * SLACK) + CONTEXT
