"""Inference time as a linear function of the numbers of layers (Shleifer & Rush 2020, section 6.4).

Models in a task's shapes with random weights and random numbers of layers are timed, and the seconds fitted by least
squares: t = a + b_encoder E + b_decoder D. A model of few layers is the deepest model with the others left out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.nn import ModuleList

from fdistill.bench.clock import now
from fdistill.data.batches import label_batch, source_batch
from fdistill.models.architectures import model_class, wrap
from fdistill.models.configurations import of_layers
from fdistill.models.families import FAMILIES
from fdistill.models.language_model import LanguageModel, Source, end_tokens
from fdistill.preflight.architectures import configuration
from fdistill.runtime.errors import UserError

Depths = dict[str, int]  # layers by stack

DEEPEST = 6  # layers at least of the deepest timed model, so that a slope can be fitted in the shapes of shallow ones


def random_models(model: dict[str, Any], count: int, seed: int, device: str) -> tuple[LanguageModel, list[Depths]]:
    """Return the deepest model in the shapes of a task's section `model`, and `count` different numbers of layers.

    A stack has 1 to `DEEPEST` layers, or to as many as the task's teacher has. The first are the teacher's own. There
    are fewer where the shapes allow no more. Raises UserError for too few models for a line with an interval.
    """
    config, *_ = configuration(model)
    family = FAMILIES[config.model_type]
    full = {name: getattr(config, stack.size_key) for name, stack in family.stacks.items()}
    deepest = {name: max(depth, DEEPEST) for name, depth in full.items()}
    others = [dict(zip(full, depths, strict=True)) for depths in product(*(range(1, n + 1) for n in deepest.values()))]
    others.remove(full)
    if count < (fewest := len(full) + 2):  # one more than coefficients
        raise UserError(f"--models: {count} models do not determine a line with its interval; give {fewest} or more")
    order = np.random.default_rng(seed).permutation(len(others))[: count - 1]
    if config.pad_token_id is None:  # as in GPT-2's checkpoints; see `checkpoints.load`
        config.pad_token_id = end_tokens(config)[0]
    # Settings of single layers are repeated where there are more than the teacher's.
    config = of_layers(config, family, {name: [i % full[name] for i in range(n)] for name, n in deepest.items()})
    torch.manual_seed(seed)
    return wrap(model_class(family)(config).to(device).eval()), [full, *(others[i] for i in order)]


@contextmanager
def with_layers(model: LanguageModel, depths: Depths) -> Iterator[None]:
    """Leave out all but the first layers of each stack inside this context."""
    stacks = {name: stack.modules for name, stack in model.family.stacks.items()}
    whole = {path: model.module.get_submodule(path) for path in stacks.values()}
    try:
        for name, path in stacks.items():
            model.module.set_submodule(path, ModuleList(whole[path][: depths[name]]))
        yield
    finally:
        for path, layers in whole.items():
            model.module.set_submodule(path, layers)


def forward(model: LanguageModel, source: Source, labels: Tensor) -> None:
    """Run one forward pass over sources (B, S) and labels (B, T), logits included."""
    model.logits(model.decode(model.encode(source), labels).states)


def generate(model: LanguageModel, source: Source, labels: Tensor) -> None:
    """Generate greedily as many tokens as the labels (B, T) have, whatever they are."""
    logits, state = model.start(model.encode(source))
    for _ in range(labels.shape[1] - 1):
        logits = model.step(logits.argmax(-1, keepdim=True), state)


WAYS: dict[str, Callable[[LanguageModel, Source, Tensor], None]] = {"forward": forward, "generate": generate}


@torch.no_grad()
def times(
    model: LanguageModel,
    depths: list[Depths],
    sources: list[list[int]],
    targets: list[list[list[int]]],
    repeats: int,
    autocast: torch.autocast,
) -> list[dict[str, Any]]:
    """Return the median seconds of each of `WAYS` on one batch, for each number of layers, over `repeats` rounds.

    A round times every model in turn; one round before the first is not counted.
    """
    source, labels = source_batch(model, sources), label_batch(targets, model.device)
    seconds: list[dict[str, list[float]]] = [{way: [] for way in WAYS} for _ in depths]
    for _ in range(1 + repeats):
        for layers, measured in zip(depths, seconds, strict=True):
            with with_layers(model, layers), autocast:
                for way, run in WAYS.items():
                    start = now(model.device)
                    run(model, source, labels)
                    measured[way].append(now(model.device) - start)
    return [
        {"layers": layers, "seconds": {way: median(values[1:]) for way, values in measured.items()}}
        for layers, measured in zip(depths, seconds, strict=True)
    ]


def fit(measured: list[dict[str, Any]], way: str) -> dict[str, Any]:
    """Fit the seconds of `times` by least squares; the first entry is the full model.

    Returns the coefficients in seconds; `percent`, those of a layer of each stack in percent of the fitted time of the
    full model; `ratio`, a decoder layer's over an encoder layer's, None without an encoder; and R². Each estimate has
    its 95 % interval, by the t distribution; those of quotients by the delta method.
    """
    stacks = list(measured[0]["layers"])
    design = np.array([[1.0, *(entry["layers"][stack] for stack in stacks)] for entry in measured])
    seconds = np.array([entry["seconds"][way] for entry in measured])
    freedom = len(seconds) - design.shape[1]
    beta, *_ = np.linalg.lstsq(design, seconds)
    residuals = seconds - design @ beta
    covariance = residuals @ residuals / freedom * np.linalg.inv(design.T @ design)
    width = stats.t.ppf(0.975, freedom)

    def estimate(above: np.ndarray, below: np.ndarray, times: float = 1.0) -> dict[str, Any]:
        """Return times · (above · β)/(below · β) with its interval."""
        value, divisor = (above @ beta) / (below @ beta), below @ beta
        gradient = (above - value * below) / divisor
        half = width * np.sqrt(gradient @ covariance @ gradient)
        return {"value": times * value, "interval": [times * (value - half), times * (value + half)]}

    units = dict(zip(["constant", *stacks], np.eye(len(beta)), strict=True))
    return {
        "seconds": dict(zip(units, beta.tolist(), strict=True)),
        "full_seconds": float(design[0] @ beta),
        "percent": {stack: estimate(units[stack], design[0], 100) for stack in stacks},
        "ratio": estimate(units["decoder"], units["encoder"]) if "encoder" in units else None,
        "r2": float(1 - residuals @ residuals / ((seconds - seconds.mean()) ** 2).sum()),
    }
