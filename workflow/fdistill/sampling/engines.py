"""The engine that samples or decodes offline: transformers, the reference, or CTranslate2, a faster runtime."""

from collections.abc import Callable, Sequence
from functools import partial

from fdistill.models.language_model import LanguageModel, Source
from fdistill.runtime.errors import UserError
from fdistill.sampling.ctranslate2_conversion import package_version
from fdistill.sampling.ctranslate2_engine import CTranslate2
from fdistill.sampling.engine_limits import TRANSFORMERS, refusals
from fdistill.sampling.modes import mode_settings
from fdistill.sampling.sampler import Samples, SamplingConfig, sample_batch

# Samples `sampling.per_source` sequences per source, given the sources, how to sample, the seed of the batch and the
# numbers of its rows. The sequences depend on the batch and the seed alone.
Engine = Callable[[Source, SamplingConfig, Sequence[int], Sequence[int]], Samples]


def engine_for(name: str, model: LanguageModel, sampling: SamplingConfig) -> Engine:
    """Return the engine `name` for a model.

    Raises UserError when the engine is not installed, or supports neither this model nor these sampling settings.
    """
    if name == TRANSFORMERS:
        return partial(sample_batch, model)
    for key, reason in refusals({"mode": sampling.mode} | mode_settings(sampling.mode, sampling.options)):
        raise UserError(f"{key}: {reason}")
    version_of(name)
    engine = CTranslate2(model)
    engine.check_search(sampling)
    return engine.sample_batch


def version_of(name: str) -> dict[str, str]:
    """Return the engine's own package with its version, if it has one; UserError where it is not installed."""
    return {} if name == TRANSFORMERS else {name: package_version()}
