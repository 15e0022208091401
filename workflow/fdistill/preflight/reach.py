"""What the network has: each function asks for a description, and raises UserError when there is none to be had."""

from collections.abc import Callable
from typing import Any

import requests
from huggingface_hub import HfApi, try_to_load_from_cache

from fdistill.runtime.errors import UserError

TIMEOUT = 10  # seconds for an answer


def cached(model_id: str, *names: str) -> bool:
    """Whether the hub's cache on this machine has these files of a model."""
    return all(isinstance(try_to_load_from_cache(model_id, name), str) for name in names)


def hub_model(model_id: str) -> set[str]:
    """The names of a model's files on the hub."""
    found = _ask(model_id, lambda: HfApi().model_info(model_id, timeout=TIMEOUT))
    return {file.rfilename for file in found.siblings}


def hub_dataset(dataset_id: str, revision: str) -> None:
    """A data set on the hub."""
    _ask(dataset_id, lambda: HfApi().dataset_info(dataset_id, revision=revision, timeout=TIMEOUT))


def url(address: str) -> None:
    """A file on the web."""
    _ask(address, lambda: requests.head(address, allow_redirects=True, timeout=TIMEOUT).raise_for_status())


def _ask(what: str, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Exception as error:  # each client has errors of its own, on no common ground
        while error.__cause__ or error.__context__:  # of which the first says what happened
            error = error.__cause__ or error.__context__
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{what} is not to be had ({reason})") from None
