"""Hostile configurations from a seeded generator: each is loaded, or refused by a UserError, within two seconds."""

import datetime
import json
import math
import random
import time
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from fdistill import config
from fdistill.artifacts.yaml_files import read_mapping
from fdistill.config import schema_flags
from fdistill.runtime.errors import UserError
from snake import ROOT

TASKS = sorted(path.name for path in (ROOT / "config/tasks").glob("*.yaml"))
STUDY, METHODS, CLAIMS = "config/config.yaml", "config/methods.yaml", "config/claims.yaml"

VALUES = [
    *(None, True, False, "", " ", "\0", "a\x1b[2J", "\u2028", "{word}", "</script>", "~nosuchuser/x", "x" * 140_000),
    *(0, -1, 1, 10**30, 10**400, 2**64, 0.0, -1.0, 1e308, 1e-320, math.nan, math.inf, -math.inf),
    *([], {}, [[]], [{}], [None], ["x", 1], {"a": {"b": []}}, {"": 1}, {"\0": 1}, [1] * 2000, [[], "x"] * 1000),
    *(datetime.date(2020, 1, 1), b"\0", {"init": []}, {"kind": {}}, "1e-4", "scratch", "auto", "none", "nll"),
]
SCRAPS = [
    *(
        "\0",
        "\t",
        "\r",
        "\ufeff",
        "\x85",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        ": ",
        "- ",
        "? ",
        "---\n",
        "...\n",
        "%YAML 9\n",
    ),
    *(
        "&a ",
        "*a ",
        "<<: *a\n",
        "!!int ",
        '!!int "x"',
        "!!binary ",
        "!!set ",
        "!!python/object:os.x ",
        "!x ",
        "|\n",
        ">\n",
    ),
    *(
        "2020-13-45",
        "9" * 6000,
        "[" * 500,
        "{a: " * 500,
        "0x_",
        "1:2:3",
        ".nan",
        "\ud83d",
        "\U0001f600",
        "x: &x [*x]\n",
    ),
]
BOMB = "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9) if i else 'x'}]\n" for i in range(12))


def places(value, path=()):
    """Yield the path of every value in nested mappings and lists."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def mutated(text: str, rng: random.Random) -> str | bytes:
    """Return a configuration file with one to three mistakes: first of content, then perhaps one of form."""
    content = yaml.safe_load(text)
    for kind in rng.choices(["value", "value", "value", "rename", "remove"], k=rng.randint(0, 2)):
        *outer, key = rng.choice([path for path in places(content) if path])
        inner = content
        for part in outer:
            inner = inner[part]
        if kind == "value":
            inner[key] = deepcopy(rng.choice(VALUES))
        elif kind == "rename" and isinstance(inner, dict):
            inner[rng.choice([f"{key}x", "", "\0", "x" * 5000, "{word}", "kind"])] = inner.pop(key)
        elif len(inner) > 1:
            del inner[key]
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    at = rng.randrange(len(text) + 1)
    return {
        "scrap": text[:at] + rng.choice(SCRAPS) + text[at:],
        "cut": text[:at] + text[at + rng.randint(1, 40) :],
        "bytes": text[:at].encode(errors="replace") + bytes(rng.choices(range(256), k=8)),
        "bomb": text + BOMB,
        "none": text,
    }[rng.choice(["scrap", "scrap", "cut", "bytes", "bomb", "none", "none", "none"])]


@pytest.mark.parametrize("seed", range(12))
def test_a_hostile_configuration_is_loaded_or_refused(seed, tmp_path):
    rng = random.Random(seed)
    refused = 0
    for number in range(8):
        root = tmp_path / str(number)
        (root / "config/tasks").mkdir(parents=True)
        task = f"config/tasks/{rng.choice(TASKS)}"
        target = rng.choice([STUDY, METHODS, CLAIMS, task, task])
        study = yaml.safe_load((ROOT / STUDY).read_text()) | {"tasks": [Path(task).stem]}
        for file in (STUDY, METHODS, CLAIMS, task):
            text = {STUDY: yaml.safe_dump(study), CLAIMS: claims_about_any_task()}.get(file) or (
                ROOT / file
            ).read_text()
            content = mutated(text, rng) if file == target else text
            content = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
            (root / file).write_bytes(content)
        began = time.process_time()  # not the clock: the machine may be busy
        try:
            refused += not accepted(root)
        except Exception as error:
            raise AssertionError((root / target).read_bytes()[-2000:]) from error
        assert time.process_time() - began < 2, (root / target).read_bytes()[-2000:]
    assert refused


def claims_about_any_task() -> str:
    """The shipped claims without those about tasks that are not there."""
    claims = yaml.safe_load((ROOT / CLAIMS).read_text())
    return yaml.safe_dump({name: claim for name, claim in claims.items() if "tasks" not in claim})


def accepted(root: Path) -> bool:
    """Load a configuration as the Snakefile does, and use what it says; return whether it is accepted."""
    try:
        merged = read_mapping(root / STUDY, STUDY)
    except UserError:
        merged = {}
    try:
        study = config.load(merged, [root / STUDY], root)
        task = study.task(study.tasks[0])
    except UserError as error:
        first, *lines = str(error).split("\n")
        assert first == "the configuration has mistakes:" and lines
        assert all(line.strip().startswith(("config/", "config (merged", "... and ")) for line in lines), lines
        assert all(len(line) < 2000 and line.isprintable() for line in lines), lines
        return False
    cut = [*schema_flags.flags("text", task["text"]), json.dumps(task["source"]), json.dumps(task["model"])]
    cut += [json.dumps([study.method(method, study.tasks[0])["terms"] for method in study.methods])]
    for stage in task["training"]:
        cut += [
            *schema_flags.flags("training", study.training(study.tasks[0], stage)),
            *schema_flags.flags("selection", study.selection(study.tasks[0], stage)),
        ]
    assert sum(len(text.encode()) for text in cut) < 128 * 1024
    assert not [text for text in cut if "\0" in text]
    return True
