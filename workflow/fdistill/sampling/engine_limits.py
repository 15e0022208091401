"""The engines of offline sampling and decoding, and the settings that CTranslate2 does not support.

The configuration is checked against these limits, and `engines.engine_for` checks them again.
"""

from collections.abc import Iterator
from typing import Any

TRANSFORMERS, CTRANSLATE2 = "transformers", "ctranslate2"
ENGINES = (TRANSFORMERS, CTRANSLATE2)

# Settings that CTranslate2 lacks or interprets in another way: its beam search ranks the tokens that such a rule leaves
# by probabilities renormalised to sum to one, and its n-grams do not extend into the prompt.
_ONLY_TRANSFORMERS = ("do_sample", "top_k", "min_new_tokens", "no_repeat_ngram_size")
_MODES = (None, "ancestral", "beam")


def refusals(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key and the reason of each sampling or decoding setting that CTranslate2 does not support."""
    if settings.get("mode") not in _MODES:
        yield "mode", f"only engine {TRANSFORMERS} samples by {settings['mode']}; use it, or mode ancestral or beam"
        return
    for key in _ONLY_TRANSFORMERS:
        if settings.get(key):
            yield key, f"not supported by engine {CTRANSLATE2}; remove it or use engine {TRANSFORMERS}"
    if (settings.get("num_beams") or 1) > 1 and not settings.get("early_stopping"):
        yield (
            "early_stopping",
            f"engine {CTRANSLATE2} ends a beam search as soon as there are as many finished hypotheses as beams; "
            f"set early_stopping: true, or use engine {TRANSFORMERS}",
        )


def differences(settings: dict[str, Any]) -> list[str]:
    """Return how CTranslate2 decodes otherwise than transformers with these settings, if it is used all the same."""
    return [f"{key}: {reason.partition(';')[0]}" for key, reason in refusals(settings)]
