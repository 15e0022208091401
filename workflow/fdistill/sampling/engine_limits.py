"""What each engine of off-line drawing can do: checked with the configuration, and again by what draws."""

from collections.abc import Iterator
from typing import Any

TRANSFORMERS, CTRANSLATE2 = "transformers", "ctranslate2"
ENGINES = (TRANSFORMERS, CTRANSLATE2)

# Settings of transformers that CTranslate2 does not have, or has with another meaning: under it, a search ranks what is
# left after such a rule by probabilities made to sum to one again, and n-grams do not reach into the prompt.
_TRANSFORMERS_ALONE = ("do_sample", "top_k", "min_new_tokens", "no_repeat_ngram_size")
_MODES = (None, "ancestral", "beam")


def refusals(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What CTranslate2 does otherwise than transformers: key and reason, of the settings of a drawing or a decoding."""
    if settings.get("mode") not in _MODES:
        yield "mode", f"{settings['mode']} is drawn by engine {TRANSFORMERS} alone"
        return
    for key in _TRANSFORMERS_ALONE:
        if settings.get(key):
            yield key, f"not with engine {CTRANSLATE2}; remove it or use engine {TRANSFORMERS}"
    if (settings.get("num_beams") or 1) > 1 and not settings.get("early_stopping"):
        yield (
            "early_stopping",
            f"engine {CTRANSLATE2} ends a search of several beams when as many outputs have ended; "
            f"set early_stopping: true, or use engine {TRANSFORMERS}",
        )
