"""Batch sizes of offline work (sampling, decoding, scoring), from the estimates of `fdistill.models.memory`.

They follow from the study and the models' shapes alone, not from the machine, so that a run that is resumed on another
machine has the same batches.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from fdistill.models.language_model import LanguageModel
from fdistill.models.memory import CONTEXT, FLOAT, GIB, SLACK, Size, decoding, scoring, size_of
from fdistill.sampling.engine_limits import CTRANSLATE2

DEFAULT_GPU_MEMORY = 16  # GiB, where the study has no `gpu_memory`

# Floats that a batch may take on a CPU; for a large model, as many as its weights. Larger batches allocate fresh memory
# in every layer, which takes up to twice the time; smaller ones read a large model's weights too often.
CPU_FLOATS = 1 << 24

# The share of the free GPU memory that a batch may take: the estimate for decoding may be 1.7 times too low.
FREE_SHARE = 0.5

# The most rows of a batch, beams counted. Larger batches are hardly faster, and an interruption loses a whole batch.
MAX_ROWS = 256


def rows_that_fit(size: Size, free: float, beams: int, target: int) -> Callable[[int], int]:
    """Return a function from the longest source of a batch, in tokens, to the number of inputs that fit.

    The batch may be decoded or scored. `free` is the memory for it in floats, `target` the longest target in tokens.
    """

    def rows(source: int) -> int:
        def needed(count: int) -> float:
            return max(decoding(size, count, beams, source, target), scoring(size, count, source, target))

        return max(1, bisect_right(range(1, MAX_ROWS // beams + 1), free, key=needed))

    return rows


def weight_copies(engine: str) -> int:
    """Return how many copies of the weights an engine needs: CTranslate2 has its own, beside those used for scoring."""
    return 2 if engine == CTRANSLATE2 else 1


def free_on_gpu(gib: int | None, weights: float) -> float:
    """Return the floats that a batch may take on a GPU of `gib` GiB beside `weights`, the floats of all weights."""
    return FREE_SHARE * (((gib or DEFAULT_GPU_MEMORY) * GIB - CONTEXT) / (FLOAT * SLACK) - weights)


def offline_batch_size(
    batch_size: int | None,
    models: Sequence[LanguageModel],
    engine: str,
    beams: int,
    target: int,
    gpu_memory: int | None,
) -> int | Callable[[int], int]:
    """Return the batch size of offline work: `batch_size` or, if it is None, what fits by source length.

    `models` are the loaded ones; `gpu_memory` is the study's, in GiB. See `rows_that_fit`.
    """
    if batch_size is not None:
        return batch_size
    sizes = [size_of(model.module, model.family) for model in models]
    on_gpu = models[0].device.type == "cuda"
    weights = sum(size.parameters for size in sizes) * weight_copies(engine)
    free = free_on_gpu(gpu_memory, weights) if on_gpu else max(CPU_FLOATS, weights)
    by_model = [rows_that_fit(size, free, beams, target) for size in sizes]
    return lambda source: min(rows(source) for rows in by_model)
