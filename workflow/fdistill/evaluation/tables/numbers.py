"""How tables and the report write numbers."""

FORM = ".2f"  # of scores and risks, as in the papers
FINE = ".3f"  # of differences of risks, which are often below 0.01
NONE = "–"  # in the place of a value that there is not
MISSING = "n/a"  # in the place of a value that could not be measured, which has a note


def plain(number: float, form: str = FORM) -> str:
    """Return the number as `form` (see `format`) shows it, with a minus sign in the place of a hyphen."""
    return format(number, f"z{form}").replace("-", "−")


def signed(number: float, form: str = FORM) -> str:
    """Return the number with its sign, as `form` (see `format`) shows it; a number that is shown as 0 has none."""
    text = plain(number, form)
    return text if text.startswith("−") or not text.strip("0.,") else f"+{text}"


def p_value(p: float) -> str:
    """Return a p-value, which is never shown as 0."""
    return "< 0.0001" if p < 0.00005 else f"{p:.4f}" if p < 0.1 else f"{p:.3f}"
