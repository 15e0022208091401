"""Reads the definitions from RoWordNet's pickle without running any of its code."""

import io
import pickle
from pathlib import Path
from typing import Any

from fdistill.data.archives import read_bytes
from fdistill.runtime.errors import UserError

MEMBER = "rowordnet/rowordnet.pickle"

# Every global that the pinned pickle names. All become one inert stub; none is imported.
GLOBALS = {
    "rowordnet.rowordnet.RoWordNet",
    "rowordnet.synset.Synset",
    "networkx.classes.digraph.DiGraph",
    "collections.defaultdict",
    "builtins.getattr",
    "builtins.dict",
    "builtins.list",
    "builtins.set",
}


def read_definitions(wheel: Path) -> dict[str, str]:
    """Return the Romanian definition of each synset by its id (`ENG30-offset-pos`).

    A pickle is a program, so the wheel's hash must have been checked; besides, only the globals above may occur in it.
    Raises UserError with the name of any other global, and for a damaged pickle.
    """
    try:
        root = _InertUnpickler(io.BytesIO(read_bytes(wheel, MEMBER))).load()
        definitions = {key: vars(synset)["_definition"] for key, synset in vars(root)["_synsets"].items()}
        if not all(isinstance(text, str) for text in (*definitions, *definitions.values())):
            raise TypeError("a synset's id or definition is not text")
    except UserError:
        raise
    except Exception as error:  # a damaged pickle can make the unpickler raise anything
        raise UserError(
            f"{wheel}: '{MEMBER}' is damaged ({type(error).__name__}: {error}); delete the wheel and run again"
        ) from None
    return definitions


class _Inert(dict):
    """Replaces every class and function of the pickle: it accepts items and attributes, and does nothing."""

    def __init__(self, *_: Any):
        super().__init__()

    def __call__(self, *_: Any) -> "_Inert":
        return self


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Inert]:
        if f"{module}.{name}" not in GLOBALS:
            raise UserError(
                f"rowordnet wheel: '{MEMBER}' names the global '{module}.{name}', which is not one of "
                f"{', '.join(sorted(GLOBALS))}; nothing was run: check where the file comes from"
            )
        return _Inert
