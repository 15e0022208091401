"""Decoding settings, as transformers' GenerationConfig takes them."""

from typing import Any

_OF_SAMPLING = {"top_k", "top_p", "temperature"}
_OF_BEAM_SEARCH = {"length_penalty", "early_stopping"}


def effective(decoding: dict[str, Any]) -> dict[str, Any]:
    """Return `decoding` without the settings that have no effect beside the others.

    Those of sampling count with `do_sample` only, those of beam search with more than one beam; transformers warns
    about the others. With `do_sample` and no `top_k`, all tokens are sampled from: the default of transformers is 50.
    """
    if decoding.get("do_sample"):
        unused, decoding = set(), {"top_k": 0} | decoding
    else:
        unused = _OF_SAMPLING
    if decoding.get("num_beams", 1) == 1:
        unused = unused | _OF_BEAM_SEARCH
    return {key: value for key, value in decoding.items() if key not in unused}
