"""An exported model on its way to a hub, which is a server on this machine."""

import base64
import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import tiny
from fdistill.artifacts.files import sha256
from fdistill.models import checkpoints
from fdistill.models.export import export
from fdistill.models.publication import planned
from fdistill.runtime.errors import UserError
from snake import ROOT

TOKEN = "hf_averysecrettoken"
TEXT = {"source_prefix": "", "max_source_tokens": 12, "max_target_tokens": 9}
CARD = "---\nlibrary_name: transformers\n---\n\n# A model\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    checkpoints.save(tiny.checkpoint("bart"), place / "model", {})
    files = {"ctranslate2-int8/model.bin": b"\x00\x01"}
    export(place / "model", place / "export", TEXT, {"max_new_tokens": 9}, lambda prompt: CARD, files)
    return place / "export"


@pytest.fixture
def hub():
    """The address of a hub, and what it was sent: (path, token, body)."""
    received = []

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            received.append((self.path, self.headers["Authorization"], body))
            if "closed" in self.path:
                self.answer(403, {"error": "you may not write here"})
            elif "/preupload/" in self.path:
                names = [file["path"] for file in json.loads(body)["files"]]
                files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
                self.answer(200, {"files": files})
            elif "/commit/" in self.path:
                self.answer(200, {"commitUrl": f"{address}/owner/name/commit/1", "commitOid": "1", "success": True})
            else:
                asked = json.loads(body)
                place = f"{address}/{asked.get('organization')}/{asked.get('name')}"
                self.answer(200, {"url": place, "errors": [], "warnings": []})

        def do_GET(self):
            self.answer(200, {"id": "owner/name", "sha": "0" * 40, "siblings": []})

        def answer(self, status, content):
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield address, received
    server.shutdown()
    server.server_close()


def push(folder, hub, tmp_path, *arguments, token=TOKEN, repository="owner/name"):
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "workflow"),
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub[0],
        "HF_HUB_DISABLE_XET": "1",
        **({"HF_TOKEN": token} if token else {}),
    }
    command = [sys.executable, ROOT / "workflow/scripts/push_to_hub.py", folder, "--repository", repository]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_files_are_listed_and_nothing_is_sent_without_yes(folder, hub, tmp_path):
    done = push(folder, hub, tmp_path, token=None)
    assert done.returncode == 0 and "Nothing was uploaded; add --yes" in done.stdout
    assert "That needs a token: set HF_TOKEN" in done.stdout
    assert "owner/name (private, if it is created now)" in done.stdout
    listed = dict(line.split()[::-1] for line in done.stdout.splitlines()[1:-2])
    written = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert {name: int(size.replace(",", "")) for name, size in listed.items()} == written
    assert hub[1] == []


def test_an_upload_without_a_token_is_refused(folder, hub, tmp_path):
    done = push(folder, hub, tmp_path, "--yes", token=None)
    assert done.returncode == 1 and "there is no token for the hub" in done.stderr and "model.bin" in done.stdout
    assert hub[1] == []


@pytest.mark.parametrize("public", [False, True])
def test_with_yes_the_files_are_uploaded(folder, hub, public, tmp_path):
    done = push(folder, hub, tmp_path, "--yes", *(["--public"] if public else []))
    assert done.returncode == 0, done.stderr
    assert f"uploaded: {hub[0]}/owner/name/commit/1" in done.stdout
    paths = [path for path, _, _ in hub[1]]
    created = json.loads(hub[1][paths.index("/api/repos/create")][2])
    assert (created["name"], created["organization"]) == ("name", "owner")
    assert created.get("private", created.get("visibility") == "private") is not public
    assert {token for path, token, _ in hub[1] if path.startswith("/api/models")} == {f"Bearer {TOKEN}"}
    (commit,) = [body for path, _, body in hub[1] if "/commit/" in path]
    sent = [line["value"] for line in map(json.loads, commit.splitlines()) if line["key"] == "file"]
    contents = {file["path"]: base64.b64decode(file["content"]) for file in sent}
    assert contents["ctranslate2-int8/model.bin"] == b"\x00\x01" and contents["README.md"].decode() == CARD
    assert contents.keys() == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_what_the_export_wrote_is_uploaded(folder, hub, tmp_path):
    """Snakemake's timestamp, secrets and links beside the files are left out, and what a name matches as a pattern."""
    shutil.copytree(folder, tmp_path / "export")
    folder = tmp_path / "export"
    (folder / ".git").mkdir()
    others = [".env", ".git/config", ".snakemake_timestamp", "a1.txt", "ctranslate2-int8/x[1].txt", "link"]
    for name in others[:-1]:
        (folder / name).write_text("secret")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "a[1].txt").write_text("exported")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["a[1].txt"] = sha256(folder / "a[1].txt")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    done = push(folder, hub, tmp_path, "--yes")
    assert done.returncode == 0, done.stderr
    assert all(f"left out, as it is no file of the export: {name}\n" in done.stdout for name in others)
    (commit,) = [body for path, _, body in hub[1] if "/commit/" in path]
    sent = {line["value"]["path"] for line in map(json.loads, commit.splitlines()) if line["key"] == "file"}
    assert sent == {*manifest["files"], "manifest.json"}


def test_a_folder_without_its_manifest_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "export")
    (tmp_path / "export/manifest.json").unlink()
    with pytest.raises(UserError, match=r"has no manifest\.json, which says what was exported"):
        planned(tmp_path / "export", "owner/name", private=True)


def test_what_the_hub_refuses_is_told_in_one_line(folder, hub, tmp_path):
    done = push(folder, hub, tmp_path, "--yes", repository="closed/closed")
    assert done.returncode == 1 and "closed/closed: the upload failed (" in done.stderr and "403" in done.stderr


@pytest.mark.parametrize(("repository", "words"), [("name", "has no owner"), ("a/b/c", "give OWNER/NAME")])
def test_a_name_that_is_none(folder, hub, repository, words, tmp_path):
    assert words in push(folder, hub, tmp_path, repository=repository).stderr


def test_a_folder_that_is_no_export(folder, hub, tmp_path):
    assert "export the model" in push(folder.parent / "model", hub, tmp_path).stderr
