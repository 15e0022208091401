"""A hub on this machine: a server that answers as huggingface.co does, for models that lie in folders."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REFUSALS = {"gated": (403, "GatedRepo"), "missing": (401, "RepoNotFound")}  # the hub says 401 of what it hides, too


@contextmanager
def serving(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the folders OWNER/NAME below `root` as models; yield the hub's address and the list of its requests.

    Everybody may see a model of the owner `gated`, and nobody may download its files.
    """
    requests: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/"):
                name = "/".join(path.removeprefix("/api/models/").split("/")[:2])
                self.describe(name, root / name)
            elif "/resolve/" in path:
                name, _, file = path.strip("/").partition("/resolve/")
                self.send(name.split("/")[0], root / name / file.split("/", 1)[1])
            else:
                self.refuse(404, "Unknown")

        do_HEAD = do_GET

        def describe(self, name: str, folder: Path):
            if not folder.is_dir():
                return self.refuse(*REFUSALS["missing"])
            files = [
                {"rfilename": file.name, "size": file.stat().st_size, "blobId": "0"}
                for file in sorted(folder.iterdir())
            ]
            self.answer(json.dumps({"id": name, "modelId": name, "sha": "0" * 40, "siblings": files}).encode())

        def send(self, owner: str, file: Path):
            if not file.parent.is_dir():
                return self.refuse(*REFUSALS["missing"])
            if owner == "gated":
                return self.refuse(*REFUSALS["gated"])
            if not file.is_file():
                return self.refuse(404, "EntryNotFound")
            tag = hashlib.sha256(str(file).encode()).hexdigest()  # names the content in the cache
            self.answer(file.read_bytes() if self.command == "GET" else b"", file.stat().st_size, tag)

        def refuse(self, status: int, code: str):
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, content: bytes, size: int | None = None, tag: str = "0"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) if size is None else size))
            self.send_header("ETag", f'"{tag}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
