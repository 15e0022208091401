"""Whether a training step halves its micro-batches when the GPU's memory is not enough, and computes the same."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fdistill.bench.gpu_check.case import SEED, Case
from fdistill.bench.gpu_check.outcome import Measured, NotApplicable
from fdistill.bench.gpu_check.stages import RELATIVE, relative
from fdistill.bench.workload import FULL, Workload
from fdistill.data.limits import Limits
from fdistill.losses.objectives import Objective
from fdistill.runtime.device import set_up_device
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import MicroBatch
from fdistill.training.state import TrainingState
from fdistill.training.trainer import Trainer

METHOD = "js"
# Large enough that a whole and a half micro-batch differ by far more than the allocator rounds up.
VOCABULARY, LENGTH, BATCH = 8000, 64, 128


def halving(case: Case) -> Measured:
    """Take a step with all the memory, and the same step with a limit between what a whole and a half batch take."""
    if case.device != "cuda":
        raise NotApplicable("the memory of a CPU's tensors cannot be limited; run it on a GPU")
    trainer, batch = trainer_and_batch(case, VOCABULARY, LENGTH, BATCH)
    return halved_step(trainer, batch, case.precision)


def trainer_and_batch(case: Case, vocabulary: int, length: int, size: int) -> tuple[Trainer, MicroBatch]:
    """Return a trainer without dropout, whose random numbers belong to a micro-batch, and a batch."""
    device = set_up_device(case.device, case.threads)
    model = case.model(vocabulary, dropout=0.0)
    workload = Workload.random(model, Limits(length, length), size, FULL, SEED, device)
    objective = Objective.from_config(case.methods[METHOD]["terms"])
    settings, sampling = case.settings(batch_size=size), SamplingConfig(length)
    trainer = Trainer(workload.student, workload.teacher, objective, workload.data, settings, sampling, SEED)
    (batch,) = next(trainer.batches())
    return trainer, batch


def halved_step(trainer: Trainer, batch: MicroBatch, precision: str) -> Measured:
    """Return how far the loss of the step with halves is from that of the whole step."""
    weights = {name: value.clone() for name, value in trainer.weights().items()}

    def step(halved: bool) -> float:
        trainer.load_weights(weights)
        trainer.state = TrainingState(halved=halved)
        return trainer.step([copy.deepcopy(batch)])  # sampling adds its labels to the batch

    step(halved=False)  # the optimiser's states exist from here on
    (whole, expected), (half, _) = (reserved(lambda halved=halved: step(halved)) for halved in (False, True))
    with limited((whole + half) // 2):
        loss = step(halved=False)
    if not trainer.state.halved:
        raise AssertionError(f"the step was not halved with {(whole + half) // 2:,} bytes; it needs {whole:,}")
    mebibytes = f"{whole / 2**20:,.0f} MiB for the whole, {half / 2**20:,.0f} for halves"
    return Measured(
        "loss, halves against the whole, relative", relative(loss, expected), RELATIVE[precision], mebibytes
    )


def reserved(run: Callable[[], float]) -> tuple[int, float]:
    """Return the most bytes that torch's allocator holds while `run` runs, and what it returns."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    result = run()
    return torch.cuda.max_memory_reserved(), result


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let torch's allocator hold at most `size` bytes inside this context."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(size / torch.cuda.get_device_properties(0).total_memory)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
