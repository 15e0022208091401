"""The teacher's distributions on its own samples, stored once: training reads what it would compute in every epoch.

The samples never change, nor do these. `states` are what the teacher's output layer reads, about 2 KB a token for
BART-large in bf16: the distributions that they give are the teacher's, to the rounding of the compute type. `topk` are
the log-probabilities of the likeliest K tokens, and of all others together. A divergence of these coarser distributions
is one of the same kind, and by the data-processing inequality a lower bound of the full one; K = V is exact.

A cache is a folder with an Arrow file, which is read through a memory map, and a manifest with its hash.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import sha256
from fdistill.artifacts.manifest import check_files, manifest_of, model_identity, write_manifest
from fdistill.data.batches import label_batch, sorted_batches, source_batch
from fdistill.data.encoding import Limits
from fdistill.losses import chunks
from fdistill.losses.divergences import coarsen, log_softmax
from fdistill.losses.objectives import IGNORE
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.runtime.precision import compute_type
from fdistill.runtime.progress import Progress

NONE, STATES, TOPK = "none", "states", "topk"
FILE = "cache.arrow"
TOP_K = 64  # likeliest tokens, where nothing says otherwise
# What is stored of each position, by the names that `batch_loss.SequenceOutputs` has for it.
COLUMNS = {STATES: ("teacher_states",), TOPK: ("top_tokens", "top_log_probs")}
REMEDY = {
    "teacher": "it was made with another teacher",
    "samples": "it was made of other samples",
    "examples": "it was made of other examples, or in another order",
    "text": "it was made with other lengths or another prefix of the sources",
    "precision": "it was made in another precision",
}

Cached = dict[str, Tensor]  # of one sequence: states (T, D), or tokens (T, K) and log-probabilities (T, K+1)


def cache_identity(
    teacher: Path, samples: Path, ids: list[str], limits: Limits, precision: str, device: str
) -> dict[str, str]:
    """What decides a cache's content, by the keys of `REMEDY`."""
    return {
        "teacher": model_identity(teacher),
        "samples": sha256(samples),
        "examples": hashlib.sha256(json.dumps(ids).encode()).hexdigest(),
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
    """Run the teacher on each source with its sample, and write `kind` ("states" or "topk") to `folder`, atomically.

    A source stands as often as it has samples. `manifest` holds `cache_identity` under `inputs`.
    """
    names = COLUMNS[kind]
    schema = pa.schema([("row", pa.int64()), *((name, pa.large_binary()) for name in names)])
    lengths = [len(source) + len(sample) for source, sample in zip(sources, samples, strict=True)]
    progress = Progress("teacher's distributions", len(samples))
    teacher.module.eval()
    with atomic(folder, directory=True) as temporary:
        with pa.OSFile(str(temporary / FILE), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for rows in sorted_batches(lengths, batch_size):
                source = source_batch(teacher, [sources[row] for row in rows])
                labels = label_batch([samples[row] for row in rows], teacher.device)
                with torch.no_grad(), autocast:
                    made = _made(teacher, teacher.decode(teacher.encode(source), labels).states, kind, top_k)
                each = [tensor.cpu().split((labels != IGNORE).sum(1).tolist()) for tensor in made]
                columns = {name: [_bytes(row) for row in column] for name, column in zip(names, each, strict=True)}
                writer.write_batch(pa.record_batch({"row": rows, **columns}, schema))
                progress.advance(len(rows))
        types = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in zip(names, made, strict=True)}
        write_manifest(temporary, {**manifest, "types": types})
    progress.close()


def _made(teacher: LanguageModel, states: Tensor, kind: str, top_k: int) -> tuple[Tensor, ...]:
    """What is stored of N positions, (N, ...) each."""
    if kind == STATES:  # in the type in which the output layer reads them
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
    """A cache that has been written, open for reading."""

    def __init__(self, folder: Path, identity: dict[str, Any]):
        """`identity` is what it must be `cache_identity`; UserError when it is not, or is damaged."""
        check_files(folder)
        manifest = manifest_of(folder)
        recorded = manifest.get("inputs", {})
        for key, expected in identity.items():
            if recorded.get(key) != expected:
                raise UserError(
                    f"{folder}: {REMEDY[key]} ({key} {str(recorded.get(key))[:12]}, in use {str(expected)[:12]}); "
                    "delete the folder and run rule cache_teacher again"
                )
        self.types = {name: getattr(torch, kind) for name, kind in manifest["types"].items()}
        table = pa.ipc.open_file(pa.memory_map(str(folder / FILE))).read_all()
        self.place = {row: place for place, row in enumerate(table["row"].to_pylist())}
        self.columns = {name: table[name] for name in self.types}

    def of(self, row: int, length: int) -> Cached:
        """Of a row, as `write_cache` counts its samples, which has so many tokens."""
        buffers = {name: column[self.place[row]].as_buffer() for name, column in self.columns.items()}
        contents = {name: np.frombuffer(each, np.uint8).copy() for name, each in buffers.items()}  # maps are read-only
        return {name: torch.from_numpy(each).view(self.types[name]).view(length, -1) for name, each in contents.items()}


def stacked(cached: Sequence[Cached], device: torch.device) -> Cached:
    """Of several sequences, one after the other, on the device."""
    return {name: torch.cat([each[name] for each in cached]).to(device) for name in cached[0]}
