"""Whether something is available on the network: each function requests a description, without the content.

Each raises UserError when it is not available.
"""

from collections.abc import Callable
from typing import Any

import requests
from huggingface_hub import HfApi, try_to_load_from_cache

from fdistill.runtime.errors import UserError

TIMEOUT = 10  # seconds to wait for a response


def cached(model_id: str, *names: str) -> bool:
    """Return whether the hub's cache on this machine contains the files `names` of a model."""
    return all(isinstance(try_to_load_from_cache(model_id, name), str) for name in names)


def hub_model(model_id: str) -> set[str]:
    """Return the names of a model's files on the hub."""
    info = _request(model_id, lambda: HfApi().model_info(model_id, timeout=TIMEOUT))
    return {file.rfilename for file in info.siblings}


def hub_dataset(dataset_id: str, revision: str) -> None:
    """Check that a data set is available on the hub."""
    _request(dataset_id, lambda: HfApi().dataset_info(dataset_id, revision=revision, timeout=TIMEOUT))


def url(address: str) -> None:
    """Check that a file is available on the web."""
    _request(address, lambda: requests.head(address, allow_redirects=True, timeout=TIMEOUT).raise_for_status())


def _request(name: str, send: Callable[[], Any]) -> Any:
    try:
        return send()
    except Exception as error:  # each client has its own errors, without a common base class
        while error.__cause__ or error.__context__:  # the first error of the chain says what happened
            error = error.__cause__ or error.__context__
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{name} is not available ({reason})") from None
