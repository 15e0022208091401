"""Parses a docstring, in the reStructuredText of scientific packages, into a summary and a body of plain prose."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from fdistill.data.sources.filters import first_sentence

UNDERLINE = re.compile(r"([-=~^*#\"+])\1{2,}\s*")
COLON_HEADING = re.compile(
    r"(?:Args?|Arguments|Attributes|Authors?|Examples?|Keyword Arguments|Methods|Notes?|Options|Parameters|"
    r"Raises|References|Returns?|See also|Todo|Usage|Yields)\s*:{1,2}\s*",
    re.IGNORECASE,
)
PROSE_SECTIONS = (
    "notes",
    "explanation",
    "description",
    "details",
    "overview",
    "introduction",
    "extended summary",
)
# Starts of lines that are not prose: a directive, link target, footnote or comment; a doctest; a field such as
# `:param x:`; a table; a placeholder of a template.
MARKED = re.compile(r"\.\.(?: |$)|::$|>>>|In \[|[:@][a-z]+[^:`]*:(?:\s|$)|[|+=][ =|+-]|%\(\w+\)s|\{+\w+\}|%s")
BULLET = re.compile(r"^[-*•]\s+")


class Docstring(NamedTuple):
    """The two parts of a docstring as plain text, each on one line."""

    summary: str
    body: str


def parse(docstring: str) -> Docstring | None:
    """Return the summary and the body; None when the first paragraph is not one sentence."""
    first, _, rest = docstring.partition("\n\n")
    if any(UNDERLINE.fullmatch(line.strip()) for line in first.split("\n")):
        return None  # it begins with the heading of a section
    summary = plain(first)
    if not (summary[:1].isupper() and summary.endswith(".") and first_sentence(summary) == summary):
        return None
    return Docstring(summary, " ".join(plain(paragraph) for paragraph in prose(rest)))


def prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of running text: no sections such as Parameters, no directives, nothing indented."""
    lines = text.split("\n")
    keeping = True
    paragraph: list[str] = []
    hidden, after_blank = False, True  # hidden: inside a directive, a field or a doctest
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        stripped, indented = line.strip(), line.startswith((" ", "\t"))
        is_heading = bool(stripped and UNDERLINE.fullmatch(following.strip()) and not indented)
        if not stripped or is_heading or UNDERLINE.fullmatch(stripped) or COLON_HEADING.fullmatch(stripped):
            if paragraph:
                yield " ".join(paragraph)
                paragraph = []
            if is_heading:
                keeping, hidden = stripped.lower() in PROSE_SECTIONS, False
            elif stripped and COLON_HEADING.fullmatch(stripped):
                keeping = False
            after_blank = True
            continue
        if not indented:  # a marked line hides what follows, up to the first line without indent after a blank line
            marked = MARKED.match(stripped) and (not paragraph or stripped.startswith((".. ", ">>>")))
            hidden = bool(marked) or (hidden and not after_blank)
        after_blank = False
        if keeping and not hidden and (paragraph or not indented):
            paragraph.append(BULLET.sub("", stripped))
    if paragraph:
        yield " ".join(paragraph)


ROLE = re.compile(r":[A-Za-z:+-]+:`([^`]*)`")  # :func:`~numpy.sort`, :ref:`title <label>`
ROLE_TARGET = re.compile(r"(?<=\S)\s*<[^>]*>$|^~[\w.]*\.(?=\w+$)|^[~!.]*(?:_[a-z]+\.)?")
LINK = re.compile(r"`([^`<]+?)\s*<[^>`]*>`_{0,2}")
FOOTNOTE = re.compile(r"\s*\((?:see )?\[[\w.*#, -]{1,20}\]_\)|\s*\[[\w.*#, -]{1,20}\]_")
CODE = re.compile(r"``(.+?)``|`([^`]+)`_{0,2}")
EMPHASIS = re.compile(r"(?<![\w*])\*{1,2}(?=[^\s*])([^*]+?)(?<=[^\s*])\*{1,2}(?![\w*])")
SUBSTITUTION = re.compile(r"\|(\w[\w. ]*)\|_?")


def plain(text: str) -> str:
    """Return the text on one line without mark-up: roles, links and literals become words, footnote marks go."""
    text = ROLE.sub(lambda match: ROLE_TARGET.sub("", match[1]), text)
    text = FOOTNOTE.sub("", LINK.sub(r"\1", text))
    text = CODE.sub(lambda match: match[1] or match[2].lstrip("~."), text)
    text = SUBSTITUTION.sub(r"\1", EMPHASIS.sub(r"\1", text))
    text = re.sub(r"\\(?=\W)\s?", "", text)  # a backslash before a space removes the space
    text = " ".join(text.replace("::", ":").replace("`", "").split())
    return re.sub(r" (?=[.,;](?: |$))", "", text)  # a footnote mark stood there


def letter_share(text: str) -> float:
    """Return the share of letters among the characters that are not white space; 0 for an empty text."""
    characters = "".join(text.split())
    return sum(character.isalpha() for character in characters) / len(characters) if characters else 0.0
