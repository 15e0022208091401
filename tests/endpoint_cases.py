"""What tests of endpoints share: a split, the script's arguments, and what it has written."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tiny
from faulty_proxy import Fault

ROWS = 12
KEY = "sk-planted-0123456789"
VARIABLE = "LLAMA_KEY"
NOWHERE = "http://127.0.0.1:9"  # behind a proxy that answers everything itself


def answer(*texts, usage=None, headers=None, **more) -> Fault:
    """What a proxy sends in the place of a server: a choice of each text, with `more` keys."""
    choices = [{"message": {"content": text}, "finish_reason": "stop", **more} for text in texts]
    content = {"choices": choices, "usage": usage, "model": "m"}
    return Fault(text=json.dumps(content, ensure_ascii=False), headers=headers or {})


class Asked:
    """A folder with a split, in which the script is run."""

    def __init__(self, folder: Path, rows: int = ROWS):
        tiny.write_splits(folder, {"train": rows}, random.Random(0))
        self.split, self.output = folder / "train.parquet", folder / "out.jsonl"
        self.answers, self.record_file = folder / "out.jsonl.answers.jsonl", folder / "out.jsonl.record.json"

    def arguments(self, url: str, *changes: Any) -> list[str]:
        """The script's arguments; of a flag that is given twice, the last one counts."""
        given = ["--split", self.split, "--output", self.output, "--url", url, "--model", "tiny", "--max-tokens", 6]
        return [str(argument) for argument in (*given, "--key-variable", VARIABLE, *changes)]

    def source(self, row: int) -> str:
        """The source of a row of the split."""
        return pq.read_table(self.split).to_pydict()["source"][row]

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def lines(self) -> list[dict]:
        """The requests in the file of answers, without a torn one."""
        return [json.loads(line) for line in self.answers.read_text().splitlines(True)[1:] if line.endswith("\n")]

    def record(self) -> dict:
        return json.loads(self.record_file.read_text())
