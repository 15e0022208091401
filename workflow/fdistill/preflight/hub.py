"""A model on the hub: whether this machine's cache has all of it, and what a job would download otherwise."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.models.checkpoint_files import INDEX, TOKENIZERS, read_object
from fdistill.models.location import CONFIG, PACKAGE, PICKLE, TEXTS, WEIGHTS, local_path
from fdistill.preflight import reach
from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Download:
    """A model that a job will download."""

    model_id: str
    size: int  # bytes of its weights, configuration and tokenizer

    def __str__(self) -> str:
        return f"{self.model_id}, {self.size / 1e9:,.1f} GB on the hub"


def is_cached(model_id: str, allow_pickle: bool, tokenizers: Iterable[Collection[str]]) -> bool:
    """Return whether this machine's cache has a model's configuration, all its weights, and one of `tokenizers`."""
    if not reach.cached(model_id, CONFIG):
        return False
    if not any(all(reach.cached(model_id, name) for name in files) for files in tokenizers):
        return False
    for name in (WEIGHTS, PICKLE) if allow_pickle else (WEIGHTS,):
        if reach.cached(model_id, name):
            return True
        if index := reach.cached(model_id, name + INDEX):
            parts = set(read_object(Path(index)).get("weight_map", {}).values())
            return all(reach.cached(model_id, part) for part in parts)
    return False


def is_here(start: dict[str, Any]) -> bool:
    """Return whether a checkpoint is on this machine whole, by the settings that name it; a package's never is."""
    init = start["init"]
    if init.startswith(PACKAGE):
        return False
    return local_path(init) is not None or is_cached(init, start.get("allow_pickle", False), TOKENIZERS)


def download(model_id: str, files: dict[str, int]) -> Download:
    """Return what a job will download of a model with `files`, their sizes in bytes by name.

    Raises UserError when the hub does not let this user download it.
    """
    weights = _weights(files)
    reach.hub_file(model_id, weights[0])
    texts = [name for name in files if Path(name).suffix in TEXTS and "/" not in name]
    return Download(model_id, sum(files[name] for name in {*weights, *texts}))


def _weights(files: Collection[str]) -> list[str]:
    """The weights that transformers reads: safetensors or else pickles, in one file, or an index and its parts."""
    for name in (WEIGHTS, PICKLE):
        if name in files:
            return [name]
        if name + INDEX in files:
            stem, suffix = Path(name).stem, Path(name).suffix
            parts = (file for file in files if file.startswith(f"{stem}-") and file.endswith(suffix))
            return [name + INDEX, *sorted(parts)]
    return []


def asked(ask: Callable[[], Any], key: str) -> Any:
    """Return the hub's answer to a question about the model of `key`; a UserError says what else would do."""
    try:
        return ask()
    except UserError as error:
        raise UserError(
            f"{error}, nor in this machine's cache; check the name and the network (HF_TOKEN for a private model), or "
            f"set {key} to the folder of a copy"
        ) from None
