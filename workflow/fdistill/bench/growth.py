"""The cost of a distillation step as one of its sizes grows."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from fdistill.bench.steps import Terms, compare
from fdistill.bench.workload import FULL, Workload
from fdistill.config.model_checks import SCRATCH
from fdistill.data.limits import Limits
from fdistill.training.settings import TrainingSettings


def grown_steps(task: dict[str, Any], terms: Terms, repeats: int, seed: int, device: str) -> list[dict[str, Any]]:
    """Measure a step of JS (`terms`) on texts of full length; one size grows at a time, the others are the task's.

    Returns one entry of `steps.compare` per size, with the size's name as `what` and its value as `size`.
    """
    limits = Limits(**task["text"])
    settings = replace(TrainingSettings(**task["training"]["distill"]), accumulation=1)
    model = task["model"]
    sizes: list[tuple[str, int, dict[str, Any], Limits, TrainingSettings]] = []
    for share in (4, 2, 1):
        length, batch = limits.max_target_tokens // share, settings.batch_size // share
        sizes.append(("target length", length, model, replace(limits, max_target_tokens=length), settings))
        sizes.append(("batch", batch, model, limits, replace(settings, batch_size=batch)))
    if model["teacher"]["init"] == SCRATCH:  # a checkpoint's vocabulary is fixed
        for times in (1, 4, 16):
            larger = deepcopy(model)
            larger["teacher"]["vocab_size"] *= times
            sizes.append(("vocabulary", larger["teacher"]["vocab_size"], larger, limits, settings))
    measured = []
    for name, size, model, limits, settings in sorted(sizes, key=lambda entry: entry[:2]):
        workload = Workload.random(model, limits, settings.batch_size, FULL, seed, device)
        measured.append({"what": name, "size": size, **compare(workload, "js", terms, settings, repeats, seed)})
    return measured
