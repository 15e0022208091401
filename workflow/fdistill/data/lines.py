"""The one rule by which a text is put on one line, or keeps its lines."""


def one_line(text: str) -> str:
    """Return the text on one line, with single spaces."""
    return " ".join(text.split())


def tidy_lines(text: str) -> str:
    """Return the text's lines, each as `one_line` returns it, without blank ones."""
    return "\n".join(filter(None, map(one_line, text.splitlines())))
