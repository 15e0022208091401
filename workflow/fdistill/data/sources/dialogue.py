"""How the turns of a dialogue become the source of an example."""

from collections.abc import Iterable

# GPT-2's end-of-text token, which DialoGPT writes after every turn.
TURN_SEPARATOR = "<|endoftext|>"


def join_turns(turns: Iterable[str]) -> str:
    """Return the turns, oldest first, as one text with a separator behind each, the last one included."""
    return "".join(f"{turn}{TURN_SEPARATOR}" for turn in turns)
