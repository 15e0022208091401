"""Griffe extension: `[input][sample]` in a docstring is an index, not a link."""

import re
from typing import Any

import griffe


class LiteralBrackets(griffe.Extension):
    """Escapes what Markdown would take for a reference, outside of code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object, if it has one."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"(`[^`]*`)|\]\[", lambda found: found[1] or r"]\[", obj.docstring.value)
