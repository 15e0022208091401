"""Whether something is available on the network: each function requests a description, without the content.

Each raises UserError when it is not available.
"""

from collections.abc import Callable
from typing import Any

import requests
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

from fdistill.runtime.errors import UserError

TIMEOUT = 10  # seconds to wait for a response


def cached(model_id: str, name: str) -> str | None:
    """Return the path of a model's file in the hub's cache on this machine; None if it is not there."""
    try:
        path = try_to_load_from_cache(model_id, name)
    except HFValidationError:  # the name of no model; `hub_model` says why
        return None
    return path if isinstance(path, str) else None


def hub_model(model_id: str) -> dict[str, int]:
    """Return the names of a model's files on the hub, and their sizes in bytes."""
    info = _request(model_id, lambda: HfApi().model_info(model_id, timeout=TIMEOUT, files_metadata=True))
    return {file.rfilename: file.size or 0 for file in info.siblings}


def hub_file(model_id: str, name: str) -> None:
    """Check that this user may download a model's file: the hub describes a gated model to everybody."""
    _request(model_id, lambda: get_hf_file_metadata(hf_hub_url(model_id, name), timeout=TIMEOUT))


def hub_dataset(dataset_id: str, revision: str) -> None:
    """Check that a data set is available on the hub."""
    _request(dataset_id, lambda: HfApi().dataset_info(dataset_id, revision=revision, timeout=TIMEOUT))


def url(address: str) -> None:
    """Check that a file is available on the web."""
    _request(address, lambda: requests.head(address, allow_redirects=True, timeout=TIMEOUT).raise_for_status())


def server(address: str) -> None:
    """Check that a server answers, be it with a refusal: whether it takes what a job sends is not asked."""
    _request(address, lambda: requests.head(address, timeout=TIMEOUT))


def _request(name: str, send: Callable[[], Any]) -> Any:
    try:
        return send()
    except GatedRepoError:
        reason = "it is gated; ask for access on its page of the hub, and set HF_TOKEN to a token of yours"
    except RepositoryNotFoundError:
        reason = "the hub has none of this name, or it is private and HF_TOKEN gives no access"
    except Exception as error:  # each client has its own errors, without a common base class
        while error.__cause__ or error.__context__:  # the first error of the chain says what happened
            error = error.__cause__ or error.__context__
        reason = " ".join(str(error).split()) or type(error).__name__
    raise UserError(f"{name} is not available ({reason})")
