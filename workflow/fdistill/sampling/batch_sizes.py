"""How many inputs a batch of offline work has: what memory holds, by the estimates of `fdistill.models.memory`."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from fdistill.models.language_model import LanguageModel
from fdistill.models.memory import CONTEXT, FLOAT, GIB, SLACK, Size, decoding, scoring, size_of
from fdistill.sampling.engine_limits import CTRANSLATE2

# Batches of off-line work follow from the study and the shapes alone, not from the machine: the same batches are made
# wherever a run goes on.
UNKNOWN_GPU = 16  # GiB, where the study has no `gpu_memory`


# Floats that a batch may take on a CPU, or as many as the weights. Larger ones, fresh memory at every layer, take up to
# twice the time; of large models, smaller ones would do little between one reading of the weights and the next.
ON_CPU = 1 << 24


CAUTION = 0.5  # share of what is free beside the weights: an estimate of decoding may be 1.7 times too low


MOST_ROWS = 256  # of the decoder, beams counted: more are hardly faster, and one interruption loses all of them


def rows_that_fit(size: Size, free: float, beams: int, target: int) -> Callable[[int], int]:
    """How many inputs, given the longest one's length, a batch of decoding or scoring can have.

    `free` is the memory for them in floats, `target` the longest target.
    """

    def rows(source: int) -> int:
        def needed(count: int) -> float:
            return max(decoding(size, count, beams, source, target), scoring(size, count, source, target))

        return max(1, bisect_right(range(1, MOST_ROWS // beams + 1), free, key=needed))

    return rows


def weight_copies(engine: str) -> int:
    """How often an engine holds the weights: CTranslate2 has its own beside those that score what it draws."""
    return 2 if engine == CTRANSLATE2 else 1


def free_on_gpu(gib: int | None, weights: float) -> float:
    """Floats that a batch may take of a GPU beside so many floats of weights."""
    return CAUTION * (((gib or UNKNOWN_GPU) * GIB - CONTEXT) / (FLOAT * SLACK) - weights)


def offline_batch_size(
    given: int | None, models: Sequence[LanguageModel], engine: str, beams: int, target: int, gpu_memory: int | None
) -> int | Callable[[int], int]:
    """The batch size of off-line work: the one that is given, or what memory holds of each length (`rows_that_fit`).

    `models` are those that are loaded; `gpu_memory`, in GiB, is the study's.
    """
    if given is not None:
        return given
    sizes = [size_of(model.module, model.family) for model in models]
    on_gpu = models[0].device.type == "cuda"
    weights = sum(size.parameters for size in sizes) * weight_copies(engine)
    free = free_on_gpu(gpu_memory, weights) if on_gpu else max(ON_CPU, weights)
    by_size = [rows_that_fit(size, free, beams, target) for size in sizes]
    return lambda source: min(rows(source) for rows in by_size)
