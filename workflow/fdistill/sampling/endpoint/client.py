"""One request to an endpoint: its text, or the fault."""

import asyncio
import os
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from fdistill.runtime.errors import UserError, reason
from fdistill.runtime.redaction import SHORTEST
from fdistill.runtime.validation import printable
from fdistill.sampling.endpoint.faults import Fault, Then, fault_of_status, shortened

PLACEHOLDER = "EMPTY"  # the key that users of vLLM give to a server without one; it is no secret
LONGEST_CONNECT = 30.0  # seconds until a host that does not answer at all cannot be reached
_NOT_RUNNING = "is the server running? start it, or correct --url, and run the same command again"
_UNREACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)


def checked_url(url: str) -> str:
    """Return an endpoint's address without a slash at its end, or raise UserError.

    It may have no credentials, which would be in the process list and in the record.
    """
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        is_complete = is_complete and not any(map(str.isspace, url)) and httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL):
        is_complete = False
    if "@" in url or "?" in url or "#" in url:  # the text is not repeated: it may contain a password
        raise UserError("--url: has a user, a query or a fragment; leave it out, a key belongs into --key-variable")
    if not is_complete:
        raise UserError(f"--url '{printable(url)}': is no address; give one such as http://localhost:8000/v1")
    address = url.rstrip("/")
    if address.endswith("/completions"):
        raise UserError(f"--url '{url}': names an interface; end it before that, and choose the interface by --api")
    return address


def read_key(variable: str) -> str | None:
    """Return the key in an environment variable; None if there is none, as for a local server.

    Raises UserError, without the key, when it cannot be sent or hidden.
    """
    key = os.environ.get(variable, "").strip()
    if 0 < len(key) < SHORTEST and key != PLACEHOLDER:
        raise UserError(
            f"{variable}: has fewer than {SHORTEST} characters, too few to be hidden in logs; correct it, or unset it "
            "if the endpoint needs no key"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{variable}: is no key, it has blanks or other characters that a key cannot have; correct it")
    return key or None


class Client:
    """Sends requests to one address. It is an asynchronous context, which holds the connections."""

    def __init__(self, address: str, key: str | None, timeout: float):
        """`timeout` is in seconds, from sending a request to the end of its answer.

        Raises UserError for a proxy or certificates, which environment variables name, that cannot be used.
        """
        self.address, self.timeout = address, timeout
        self._was_reached = False
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        limits = httpx2.Limits(max_connections=None)  # as many as there are requests at a time
        timeouts = httpx2.Timeout(None, connect=min(timeout, LONGEST_CONNECT))
        try:
            self._client = httpx2.AsyncClient(headers=headers, timeout=timeouts, limits=limits)
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            raise UserError(
                f"a proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used ({reason(error)}); correct or "
                "unset the variable, or, for socks5://, install the package socksio"
            ) from None
        except OSError as error:
            raise UserError(
                f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read ({reason(error)}); correct "
                "or unset the variable"
            ) from None

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._client.__aexit__(*error)

    async def ask(self, body: dict[str, Any]) -> str:
        """Return the text of the answer; raises Fault for any status but 200, and when none arrives.

        A host that cannot be reached is asked again only if it could be reached before.
        """
        try:
            async with asyncio.timeout(self.timeout):
                response = await self._client.post(self.address, json=body)
        except TimeoutError:
            raise Fault("timeout", f"no answer within {self.timeout:g} s (--timeout)", Then.AGAIN) from None
        except _UNREACHED as error:
            said = f"cannot connect to {self._place()}: {_cause(error)}"
            if self._was_reached:
                raise Fault("connection", said, Then.AGAIN) from None
            raise Fault("connection", f"{said}; {_NOT_RUNNING}", Then.STOP) from None
        except httpx2.TransportError as error:
            raise Fault("connection", shortened(f"{type(error).__name__} {error}"), Then.AGAIN) from None
        except httpx2.DecodingError as error:
            raise Fault("no JSON", shortened(str(error)), Then.AGAIN) from None
        self._was_reached = True
        text = response.content.decode("utf-8-sig", errors="replace")  # as JSON is, whatever the headers say
        if response.status_code != 200:
            raise fault_of_status(response.status_code, response.headers, text)
        return text

    def _place(self) -> str:
        """Where requests go, in words: host and port, and the proxy before them if there is one."""
        url = urlsplit(self.address)
        place = f"{url.hostname}, port {url.port or (443 if url.scheme == 'https' else 80)}"
        proxies = {} if proxy_bypass(url.hostname) else getproxies()
        if proxy := proxies.get(url.scheme) or proxies.get("all"):
            proxy = proxy if "://" in proxy else f"http://{proxy}"  # a password is recognised in a whole address
            place += f", by the proxy {shortened(proxy)} (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)"
        return place


def _cause(error: BaseException) -> str:
    """What is behind an error, such as that of the operating system, in its words."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return shortened(getattr(error, "strerror", None) or reason(error))
