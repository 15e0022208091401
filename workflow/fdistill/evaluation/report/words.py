"""What differs between an output and its reference, word by word."""

from difflib import SequenceMatcher

SAME, ADDED, LEFT_OUT = "same", "added", "left out"


def word_differences(reference: str, output: str) -> list[tuple[str, str]]:
    """Return the words of both texts as (kind, text) in reading order.

    Words of both are SAME, those of the output alone are ADDED, and those of the reference alone are LEFT_OUT.
    """
    old, new = reference.split(), output.split()
    parts = []
    for kind, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append((SAME, " ".join(old[start:end])))
            continue
        parts.append((LEFT_OUT, " ".join(old[start:end])))
        parts.append((ADDED, " ".join(new[new_start:new_end])))
    return [(kind, text) for kind, text in parts if text]
