"""What a step of distillation costs as one of its sizes grows."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from fdistill.bench.steps import Terms, compare
from fdistill.bench.work import FULL, Work
from fdistill.config.model_checks import SCRATCH
from fdistill.data.encoding import Limits
from fdistill.training.settings import TrainingSettings


def grown_steps(task: dict[str, Any], terms: Terms, repeats: int, seed: int, device: str) -> list[dict[str, Any]]:
    """A JS step on full texts, as one of its sizes grows and the others stay as the task has them."""
    limits = Limits(**task["text"])
    settings = replace(TrainingSettings(**task["training"]["distill"]), accumulation=1)
    model = task["model"]
    sizes: list[tuple[str, int, dict[str, Any], Limits, TrainingSettings]] = []
    for share in (4, 2, 1):
        length, batch = limits.max_target_tokens // share, settings.batch_size // share
        sizes.append(("target length", length, model, replace(limits, max_target_tokens=length), settings))
        sizes.append(("batch", batch, model, limits, replace(settings, batch_size=batch)))
    if model["teacher"]["init"] == SCRATCH:  # a checkpoint's is what it is
        for times in (1, 4, 16):
            larger = deepcopy(model)
            larger["teacher"]["vocab_size"] *= times
            sizes.append(("vocabulary", larger["teacher"]["vocab_size"], larger, limits, settings))
    found = []
    for what, size, *made in sorted(sizes, key=lambda each: each[:2]):
        work = Work.of(made[0], made[1], made[2].batch_size, FULL, seed, device)
        found.append({"what": what, "size": size, **compare(work, "js", terms, made[2], repeats, seed)})
    return found
