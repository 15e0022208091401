"""Answers on disk, in the order of their arrival: what was paid for is never lost, and asked for once.

The first line says what was asked. Every further one is a request: its outputs, or its fault, and the tokens that it
took. A run that is killed leaves at most its last line torn, which the next run removes.
"""

import fcntl
import json
import logging
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fdistill.artifacts.shapes import Shape, parse
from fdistill.runtime.errors import UserError
from fdistill.sampling.endpoint.answer import USAGE

log = logging.getLogger(__name__)

_START = b'{"identity": '
_HEAD: Shape = {"identity": dict, "began": str}
_LINE: Shape = {
    "id": str,
    "endpoint": str,
    "retry": bool,
    "outputs": [{"text": str, "finished": bool}],
    "fault": (str, None),
    "usage": (USAGE, None),
    "model?": (str, None),
    "computed?": bool,
}


class AnswerStore:
    """The file of answers at `path`, which is open and locked until `close`.

    `identity` says what is asked. `endpoint` is the address that answers; that of a server of one's own may be another
    one in each run.

    Raises UserError when the file has answers to something else, is no file of answers, or is in use, and when the
    operating system refuses to read or write it.
    """

    def __init__(self, path: Path, identity: dict[str, Any], endpoint: str):
        self.path, self.endpoint = path, endpoint
        self._forget()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            self._lock()
            self._read(json.loads(json.dumps(identity)))
        except OSError as error:
            raise self._refused(error) from None

    def add(self, row: str, retry: bool, outputs: list[dict[str, Any]], **said: Any) -> None:
        """Append a request's result: `outputs`, or none of them and a `fault`; with `usage` and `model`, if known.

        `computed` says of a fault whether the model's output was computed, which is paid for.
        """
        line = {"id": row, "endpoint": self.endpoint, "retry": retry, "outputs": outputs, "fault": None, "usage": None}
        line |= said
        try:
            place = self._file.seek(0, 2)
            self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from None
        self._count(line, place)

    def outputs(self, row: str) -> list[dict[str, Any]]:
        """Return the outputs of a row, which are read from the file: with log-probabilities they are large."""
        found = []
        for place in self._places.get(row, []):
            self._file.seek(place)
            found += json.loads(self._file.readline())["outputs"]
        return found

    def close(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()

    def _forget(self) -> None:
        self.counts: Counter[str] = Counter()  # outputs by row
        self.faults: Counter[str] = Counter()  # by name
        self.usage = Counter(dict.fromkeys(USAGE, 0))
        self.endpoints: dict[str, None] = {}  # that were asked, as an ordered set
        self.models: dict[str, None] = {}  # that have answered, as the endpoints call them
        self.requests = self.retries = self.unmetered = 0  # unmetered: answered without a count of tokens
        self._places: dict[str, list[int]] = {}  # where in the file a row's lines begin

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{self.path}: another run writes its answers here; wait until it ends, or give another --output"
            ) from None
        except OSError:  # a file system without locks
            return

    def _read(self, identity: dict[str, Any]) -> None:
        self._file.seek(0)
        place, is_first, stored = 0, True, identity
        for number, line in enumerate(iter(self._file.readline, b""), start=1):
            if not line.endswith(b"\n") and (not is_first or _START.startswith(line[: len(_START)])):
                log.warning("%s: line %d is torn; it is removed, and its request made again", self.path, number)
                self._file.truncate(place)
                break
            try:
                content = parse(line.decode(), _HEAD if is_first else _LINE)
            except ValueError as error:
                if is_first:
                    raise UserError(
                        f"{self.path}: is no file of answers ({error}); move it, or give another --output"
                    ) from None
                log.warning("%s: line %d is damaged (%s); its request is made again", self.path, number, error)
            else:
                if is_first:
                    stored, self.began = content["identity"], content["began"]
                else:
                    self._count(content, place)
            place, is_first = place + len(line), False
        if keys := ", ".join(_differences(stored, identity)):
            self._discard_faults(keys)
            is_first = True
        if is_first:
            self.began = datetime.now(UTC).isoformat(timespec="seconds")
            self._file.write(json.dumps({"identity": identity, "began": self.began}).encode() + b"\n")
            self._file.flush()

    def _discard_faults(self, keys: str) -> None:
        """Empty a file that has answers to other requests, which differ in `keys`; UserError if any was paid for."""
        if self.counts or self.unmetered or any(self.usage.values()):
            raise UserError(
                f"{self.path}: has answers to other requests ({keys}); give another --output, or, to ask for all of "
                "them anew, move this file and that of the outputs"
            )
        log.info("%s: has only faults of other requests (%s), which are removed", self.path, keys)
        self._file.truncate(0)
        self._forget()

    def _count(self, line: dict[str, Any], place: int) -> None:
        self.requests += 1
        self.retries += line["retry"]
        if line["outputs"]:
            self.counts[line["id"]] += len(line["outputs"])
            self._places.setdefault(line["id"], []).append(place)
        if line["fault"] is not None:
            self.faults[line["fault"]] += 1
        if line["usage"] is not None:
            self.usage.update(line["usage"])
        elif line["outputs"] or line.get("computed"):
            self.unmetered += 1
        self.endpoints[line["endpoint"]] = None
        if line.get("model") is not None:
            self.models[line["model"]] = None

    def _refused(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: cannot be read or written ({error.strerror}); see to its disk and permissions")


def _differences(stored: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Return the keys whose values differ, also those of mappings inside."""
    keys: list[str] = []
    for key in {**asked, **stored}:
        pair = stored.get(key), asked.get(key)
        if pair[0] != pair[1]:
            keys += _differences(*pair) if all(isinstance(value, dict) for value in pair) else [key]
    return keys
