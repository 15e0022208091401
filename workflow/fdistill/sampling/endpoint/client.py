"""One request to an endpoint: its text, or the fault."""

import asyncio
import os
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from fdistill.runtime.errors import UserError
from fdistill.sampling.endpoint.faults import Fault, Then, fault_of_status, shortened


def checked_url(url: str) -> str:
    """Return an endpoint's address without a slash at its end, or raise UserError.

    It may have no credentials, which would be in the process list and in the record.
    """
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        is_complete = False
    if "@" in url or "?" in url or "#" in url:  # the text is not repeated: it may contain a password
        raise UserError("--url: has a user, a query or a fragment; leave it out, a key belongs into --key-variable")
    if not is_complete:
        raise UserError(f"--url '{url}': is no address; give one such as http://localhost:8000/v1")
    address = url.rstrip("/")
    if address.endswith("/completions"):
        raise UserError(f"--url '{url}': names an interface; end it before that, and choose the interface by --api")
    return address


def read_key(variable: str) -> str | None:
    """Return the key in an environment variable; None if there is none, as for a local server.

    Raises UserError, without the key, when it cannot be sent.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{variable}: is no key, it has blanks or other characters that a key cannot have; correct it")
    return key or None


class Client:
    """Sends requests to one address. It is an asynchronous context, which holds the connections."""

    def __init__(self, address: str, key: str | None, timeout: float):
        """`timeout` is in seconds, from sending a request to the end of its answer."""
        self.address, self.timeout = address, timeout
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        limits = httpx2.Limits(max_connections=None)  # as many as there are requests at a time
        self._client = httpx2.AsyncClient(headers=headers, timeout=None, limits=limits)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._client.__aexit__(*error)

    async def ask(self, body: dict[str, Any]) -> str:
        """Return the text of the answer; raises Fault for any status but 200, and when none arrives."""
        try:
            async with asyncio.timeout(self.timeout):
                response = await self._client.post(self.address, json=body)
                text = response.text
        except TimeoutError:
            raise Fault("timeout", f"no answer within {self.timeout:g} s", Then.AGAIN) from None
        except httpx2.TransportError as error:
            raise Fault("connection", shortened(f"{type(error).__name__} {error}"), Then.AGAIN) from None
        except httpx2.DecodingError as error:
            raise Fault("no JSON", shortened(str(error)), Then.AGAIN) from None
        if response.status_code != 200:
            raise fault_of_status(response.status_code, response.headers, text)
        return text
