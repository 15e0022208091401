"""The sampling modes with their options. The configuration is checked against them, without torch."""

from collections.abc import Iterator
from typing import Any

from fdistill.runtime.errors import UserError

ANCESTRAL, TOP_K, NUCLEUS, BEAM, DIVERSE_BEAM = "ancestral", "top_k", "nucleus", "beam", "diverse_beam"
SEARCHES = (BEAM, DIVERSE_BEAM)  # deterministic: several sequences of an input are the best ones of one search

# The sampling modes, as settings of transformers' GenerationConfig; None marks an option that the user must give.
# Two modes have loops of their own, `sampler.ancestral_sample` and `diverse_beams.diverse_beam_search`, which takes
# these settings by the same names; the other modes use transformers' `generate`.
MODES: dict[str, dict[str, Any]] = {
    ANCESTRAL: {},
    TOP_K: {"do_sample": True, "top_k": None},
    NUCLEUS: {"do_sample": True, "top_k": 0, "top_p": None},
    BEAM: {"do_sample": False, "num_beams": None},
    DIVERSE_BEAM: {"num_beams": None, "num_beam_groups": None, "diversity_penalty": None},
    "beam_sample": {"do_sample": True, "top_k": 0, "num_beams": None},
}


def mode_settings(mode: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the decoding settings of a mode with the user's options.

    Raises UserError for an unknown mode or a missing option.
    """
    if mode not in MODES:
        raise UserError(f"mode: unknown sampling mode '{mode}'; allowed: {', '.join(MODES)}")
    settings = MODES[mode] | options
    missing = [name for name, value in settings.items() if value is None]
    if missing:
        raise UserError(f"mode '{mode}' needs {', '.join(missing)}; set it beside the mode")
    return settings


def limiting_length(sampling: dict[str, Any]) -> tuple[str, int | None]:
    """Return the key and the value of the length that may not be above that of targets: the longest, or the shortest.

    It is the shortest where the section `sampling` sets no longest, which is then that of targets.
    """
    key = "min_new_tokens" if sampling["max_new_tokens"] is None else "max_new_tokens"
    return key, sampling[key]


def sampling_mistakes(settings: dict[str, Any], per_input: int = 1) -> Iterator[tuple[str, str]]:
    """Yield the key and the mistake of each setting with which there are no `per_input` sequences of an input.

    `settings` are those of sampling, or of decoding, which have no mode.
    """
    shortest, longest = settings.get("min_new_tokens"), settings.get("max_new_tokens")
    if None not in (shortest, longest) and shortest > longest:
        yield "min_new_tokens", f"{shortest} is more than max_new_tokens, {longest}; lower it"
    mode, beams, groups = settings.get("mode"), settings.get("num_beams"), settings.get("num_beam_groups")
    if mode not in SEARCHES or beams is None:
        return
    if per_input > beams:
        yield "per_input", f"{per_input} is more than num_beams, {beams}: one search has no more; raise num_beams"
    if mode != DIVERSE_BEAM or groups is None:
        return
    if beams % groups:
        yield "num_beam_groups", f"{groups} groups cannot share {beams} beams (num_beams) evenly; set a divisor of it"
    if per_input == 1:
        text = "the groups differ from the first one, whose best sequence is the only one asked for"
        yield "mode", f"{text}; use mode {BEAM}, or sample several sequences offline (per_input)"
