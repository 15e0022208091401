"""A proxy on the loopback that forwards requests to a real server, and has the faults that endpoints have."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing the socket resets the connection


@dataclass
class Fault:
    """What is sent in the place of the server's answer; by default, the answer itself."""

    status: int | None = None  # instead of the server's
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    edit: Callable[[dict], object] | None = None  # of the answer, in place
    resets: bool = False
    silent: float = 0.0  # seconds before anything is sent
    half: bool = False  # the connection is closed in the middle of the answer
    torn: bool = False  # the answer is JSON that ends in its middle


@dataclass
class Proxy:
    """The address, and the requests so far: path, headers, body, and when they came."""

    url: str = ""
    requests: list[tuple[str, dict, dict, float]] = field(default_factory=list)

    @property
    def bodies(self) -> list[dict]:
        return [body for _, _, body, _ in self.requests]


@contextmanager
def faulty(server: str, fault: Callable[[int, dict], Fault | None] = lambda *_: None) -> Iterator[Proxy]:
    """Stand before `server`; `fault` returns that of a request, from its number and body, or None."""
    proxy, lock, target = Proxy(), threading.Lock(), urlsplit(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(sent)
            with lock:
                number = len(proxy.requests)
                proxy.requests.append((self.path, dict(self.headers), body, time.monotonic()))
            found = fault(number, body) or Fault()
            time.sleep(found.silent)
            if found.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.connection.close()
                self.close_connection = True
                return
            if found.status is not None or found.text is not None:
                return self.answer(found.status or 200, (found.text or "").encode(), found)
            connection = HTTPConnection(target.hostname, target.port)
            names = ("Authorization", "Content-Type")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            connection.request("POST", self.path, sent, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            if found.edit is not None:
                answer = json.loads(content)
                found.edit(answer)
                content = json.dumps(answer).encode()
            self.answer(response.status, content[: len(content) // 2] if found.torn else content, found)

        def answer(self, status: int, content: bytes, found: Fault):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if found.half else content)
            if found.half:
                self.close_connection = True

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):  # a client that was killed, or has waited long enough
            pass

    listener = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    proxy.url = f"http://127.0.0.1:{listener.server_port}/v1"
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
