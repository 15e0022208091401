"""The engines of offline sampling and decoding, and the settings that CTranslate2 does not support.

The configuration is checked against these limits, and `engines.engine_for` checks them again.
"""

from collections.abc import Iterator
from typing import Any

from fdistill.models.families import FAMILIES
from fdistill.sampling.modes import ANCESTRAL, BEAM, NUCLEUS, TOP_K

TRANSFORMERS, CTRANSLATE2 = "transformers", "ctranslate2"
ENGINES = (TRANSFORMERS, CTRANSLATE2)

# Settings that CTranslate2 lacks or interprets in another way: its beam search ranks the tokens that such a rule leaves
# by probabilities renormalised to sum to one, and its n-grams do not extend into the prompt.
_ONLY_TRANSFORMERS = ("min_new_tokens", "no_repeat_ngram_size")
# Sampling in section `decoding`, which has no mode: there CTranslate2 is a search.
_OF_DECODING = ("do_sample", "top_k")
_MODES = (ANCESTRAL, TOP_K, NUCLEUS, BEAM)


def refusals(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key and the reason of each sampling or decoding setting that CTranslate2 does not support."""
    mode = settings.get("mode")
    if mode not in (None, *_MODES):
        yield "mode", f"only engine {TRANSFORMERS} samples by {mode}; use it, or a mode of {', '.join(_MODES)}"
        return
    for key in _ONLY_TRANSFORMERS if mode in (TOP_K, NUCLEUS) else (*_OF_DECODING, *_ONLY_TRANSFORMERS):
        if settings.get(key):
            yield key, f"not supported by engine {CTRANSLATE2}; remove it or use engine {TRANSFORMERS}"
    if (settings.get("num_beams") or 1) > 1 and not settings.get("early_stopping"):
        yield (
            "early_stopping",
            f"engine {CTRANSLATE2} ends a beam search as soon as there are as many finished hypotheses as beams; "
            f"set early_stopping: true, or use engine {TRANSFORMERS}",
        )


def not_computed(family: str) -> str | None:
    """Return why CTranslate2 is not used for a family; None where it is, and for one that does not exist."""
    if family in FAMILIES and FAMILIES[family].ctranslate2 is None:
        return f"a converted {family} model fails or computes something else"
    return None


def beyond_window(window: int | None, longest: int) -> str | None:
    """Return why CTranslate2 would differ on texts of up to `longest` tokens, source and target, of a model.

    Its sliding windows (`window`, in tokens) hide other tokens than those of transformers; within one, all of a text is
    seen.
    """
    if window is None or longest <= window:
        return None
    return f"texts of {longest} tokens are longer than the model's sliding window, {window}, which it places otherwise"


def differences(settings: dict[str, Any]) -> list[str]:
    """Return how CTranslate2 decodes otherwise than transformers with these settings, if it is used all the same."""
    return [f"{key}: {reason.partition(';')[0]}" for key, reason in refusals(settings)]
