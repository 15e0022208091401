"""The teacher's distributions on its own samples, stored once instead of computed in every epoch.

The samples are fixed, and so are the teacher's distributions on them. Kind `states` stores the inputs of the teacher's
output layer, about 2 KB per token for BART-large in bf16; they give the teacher's distributions up to the rounding of
the compute type. Kind `topk` stores the log-probabilities of the K likeliest tokens and of all other tokens together.
A divergence of these coarser distributions is a divergence of the same kind and, by the data-processing inequality, a
lower bound of the full one; with K = V it is exact.

A cache is a folder with an Arrow file, which is read through a memory map, and a manifest with the file's hash.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import check_shape, sha256
from fdistill.artifacts.manifest import check_files, manifest_of, model_identity, write_manifest
from fdistill.artifacts.records import MANIFEST, remedy
from fdistill.data.batches import label_batch, sorted_batches, source_batch
from fdistill.data.limits import Limits
from fdistill.losses import chunks
from fdistill.losses.divergences import coarsen, log_softmax
from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.runtime.precision import compute_type
from fdistill.runtime.progress import Progress
from fdistill.sampling.cache_kinds import STATES, TOPK

FILE = "cache.arrow"
TYPES = ("float32", "float16", "bfloat16", "int32")  # of the columns
TOP_K = 64  # default number of tokens of kind `topk`
# The columns of each kind, named as the fields of `batch_loss.SequenceOutputs`.
COLUMNS = {STATES: ("teacher_states",), TOPK: ("top_tokens", "top_log_probs")}
# The inputs that determine a cache's content, and the reason why a cache of other inputs is refused.
MISMATCHES = {
    "teacher": "it was made with another teacher",
    "samples": "it was made of other samples",
    "examples": "it was made of other examples, or in another order",
    "text": "it was made with other lengths or another prefix of the sources",
    "precision": "it was made in another precision",
}

# Of one or several sequences with T tokens in all, by column: states (T, D), or tokens (T, K) and log-probabilities
# (T, K+1).
CachedDistributions = dict[str, Tensor]
# Numbers of samples, and for each column of a kind the tensors of these samples.
Batch = tuple[Sequence[int], Sequence[Sequence[Tensor]]]


def outputs_identity(samples: Path, ids: list[str]) -> dict[str, str]:
    """Return those inputs of a cache that do not depend on a model: all, if its teacher is a file of outputs."""
    return {"samples": sha256(samples), "examples": hashlib.sha256(json.dumps(ids).encode()).hexdigest()}


def cache_identity(
    teacher: Path, samples: Path, ids: list[str], limits: Limits, precision: str, device: str
) -> dict[str, str]:
    """Return the inputs that determine a cache's content, by the keys of `MISMATCHES`."""
    return outputs_identity(samples, ids) | {
        "teacher": model_identity(teacher),
        "text": json.dumps(vars(limits)),
        "precision": str(compute_type(precision, device)),
    }


def write_cache(
    folder: Path,
    teacher: LanguageModel,
    sources: Sequence[Sequence[int]],
    samples: Sequence[Sequence[int]],
    kind: str,
    top_k: int,
    batch_size: int,
    autocast: AbstractContextManager,
    manifest: dict[str, Any],
) -> None:
    """Run the teacher on each source with its sample, and write the cache to `folder`, atomically.

    `kind` is "states" or "topk", `top_k` the K of the latter. `sources` repeats each source for each of its samples.
    `manifest` has the `cache_identity` under key `inputs`.
    """
    lengths = [len(source) + len(sample) for source, sample in zip(sources, samples, strict=True)]
    progress = Progress("teacher's distributions", len(samples))
    teacher.module.eval()

    def batches() -> Iterator[Batch]:
        for rows in sorted_batches(lengths, batch_size):
            source = source_batch(teacher, [sources[row] for row in rows])
            labels = label_batch([samples[row] for row in rows], teacher.device)
            with torch.no_grad(), autocast:
                states = teacher.decode(teacher.encode(source), labels).states
                tensors = _columns(teacher, states, kind, top_k)
            yield rows, [tensor.cpu().split((labels != IGNORE).sum(1).tolist()) for tensor in tensors]
            progress.advance(len(rows))

    write_distributions(folder, kind, batches(), manifest)
    progress.close()


def write_distributions(folder: Path, kind: str, batches: Iterable[Batch], manifest: dict[str, Any]) -> None:
    """Write a cache of a kind to `folder`, atomically; `batches` have every sample once, at least one batch.

    `manifest` has the inputs that determine the content under key `inputs`.
    """
    names = COLUMNS[kind]
    schema = pa.schema([("row", pa.int64()), *((name, pa.large_binary()) for name in names)])
    with atomic(folder, directory=True) as temporary:
        with pa.OSFile(str(temporary / FILE), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for rows, by_row in batches:
                columns = {name: [_bytes(row) for row in column] for name, column in zip(names, by_row, strict=True)}
                writer.write_batch(pa.record_batch({"row": rows, **columns}, schema))
        types = {name: str(column[0].dtype).removeprefix("torch.") for name, column in zip(names, by_row, strict=True)}
        write_manifest(temporary, {**manifest, "types": types})


def _columns(teacher: LanguageModel, states: Tensor, kind: str, top_k: int) -> tuple[Tensor, ...]:
    """Compute the columns of a kind from the states of N positions, (N, D): tensors (N, ...), as in `COLUMNS`."""
    if kind == STATES:  # in the type to which autocast converts the output layer's input
        return (states.to(torch.get_autocast_dtype(states.device.type)) if torch.is_autocast_enabled() else states,)
    tokens, log_probs = [], []
    for chunk in states.split(chunks.chunk_size(teacher.module.config.vocab_size, states.device)):
        log_p = log_softmax(teacher.logits(chunk))
        tokens.append(log_p.topk(min(top_k, log_p.shape[-1])).indices)
        log_probs.append(coarsen(log_p, tokens[-1]))
    return torch.cat(tokens).int(), torch.cat(log_probs)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


class TeacherCache:
    """A cache that `write_cache` wrote, open for reading."""

    def __init__(self, folder: Path, identity: dict[str, Any]):
        """Open a cache; UserError when it is damaged or its inputs are not `identity` (see `cache_identity`)."""
        check_files(folder)
        manifest = manifest_of(folder)
        check_shape(folder / MANIFEST, manifest, {"inputs": dict, "types": {...: TYPES}})
        recorded = manifest["inputs"]
        for key, expected in identity.items():
            if recorded.get(key) != expected:
                raise UserError(
                    f"{folder}: {MISMATCHES[key]} ({key} {str(recorded.get(key))[:12]}, now {str(expected)[:12]}); "
                    f"{remedy(folder / MANIFEST, 'give a folder that cache_teacher wrote')}"
                )
        self.types = {name: getattr(torch, kind) for name, kind in manifest["types"].items()}
        table = pa.ipc.open_file(pa.memory_map(str(folder / FILE))).read_all()
        self.positions = {row: position for position, row in enumerate(table["row"].to_pylist())}
        self.columns = {name: table[name] for name in self.types}
        self.top_k = manifest.get("top_k")

    def distributions(self, row: int, length: int) -> CachedDistributions:
        """Return the distributions on sample number `row` of `write_cache`, which has `length` tokens."""
        tensors = {}
        for name, column in self.columns.items():
            buffer = column[self.positions[row]].as_buffer()
            content = np.frombuffer(buffer, np.uint8).copy()  # the memory map is read-only
            tensors[name] = torch.from_numpy(content).view(self.types[name]).view(length, -1)
        return tensors


class _Joined:
    """Several caches as one, whose samples are numbered one cache after the other.

    Of kind `topk` it has as many tokens as the cache with the fewest: of outputs from outside, each file has its own K.
    """

    def __init__(self, caches: Sequence[TeacherCache]):
        self.caches = caches
        self.top_k = min((cache.top_k for cache in caches if cache.top_k is not None), default=None)

    def distributions(self, row: int, length: int) -> CachedDistributions:
        """Return the distributions on sample number `row`, which has `length` tokens."""
        for cache in self.caches:
            if row < len(cache.positions):
                return self._narrowed(cache.distributions(row, length))
            row -= len(cache.positions)
        raise IndexError(row)

    def _narrowed(self, tensors: CachedDistributions) -> CachedDistributions:
        """The distributions with the K likeliest tokens, and those beyond them among all others."""
        if self.top_k is None or "top_tokens" not in tensors or tensors["top_tokens"].shape[1] <= self.top_k:
            return tensors
        kept, rest = tensors["top_log_probs"].tensor_split([self.top_k], dim=1)
        log_probs = torch.cat([kept, rest.logsumexp(1, keepdim=True)], dim=1)
        return {"top_tokens": tensors["top_tokens"][:, : self.top_k], "top_log_probs": log_probs}


def joined(caches: Sequence[TeacherCache]) -> TeacherCache | _Joined:
    """Return caches of several splits as one, in their order; raises UserError when they are of different kinds."""
    if any(cache.types != caches[0].types for cache in caches):
        raise UserError("--teacher-cache: the caches differ in --kind; make them with the same")
    return caches[0] if len(caches) == 1 else _Joined(caches)


def concatenate(distributions: Sequence[CachedDistributions], device: torch.device) -> CachedDistributions:
    """Concatenate the distributions of several sequences, on a device."""
    columns = distributions[0]
    return {name: torch.cat([tensors[name] for tensors in distributions]).to(device) for name in columns}
