"""A training run that is killed at any moment, several times, ends with the bytes of an uninterrupted run."""

import hashlib
import json
import random
import shutil
import signal
import time
from pathlib import Path

import killing
import pytest
import tiny
import yaml
from fdistill.artifacts.files import read_json, sha256
from fdistill.artifacts.manifest import model_identity
from fdistill.artifacts.provenance import COST
from fdistill.artifacts.records import SUFFIX
from fdistill.data.samples import write_samples
from fdistill.models.checkpoints import load, save
from fdistill.models.tokenization import tokenizer_identity
from fdistill.runtime.interruption import STATUS
from method_flags import DISTILLM
from snake import ROOT

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())
KILLS = 3  # of each stage
SIZES = {"train": 48, "dev": 8}
RUN = [
    *("--seed", 1, "--learning-rate", 0.003, "--batch-size", 4, "--accumulation", 2, "--warmup-steps", 3),
    *("--max-source-tokens", 12, "--max-target-tokens", 12, "--max-skipped-steps", 1, "--device", "cpu"),
]


def digests(folder: Path) -> dict[str, str]:
    """The hash of every file but the provenance records, whose times differ."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(SUFFIX))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Stage:
    """One training script with its arguments."""

    def __init__(self, script: str, inputs: list):
        self.script, self.inputs = script, inputs

    def arguments(self, folder: Path, checkpoints: Path | None, minutes: float | str = 0) -> list:
        """The arguments of a run that writes into `folder`; with `minutes` 0, it saves a checkpoint at every step."""
        saving = ["--checkpoints", checkpoints, "--checkpoint-minutes", minutes] if checkpoints else []
        return [*self.inputs, "--model", folder / "model", "--history", folder / "train.jsonl", *RUN, *saving]


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> dict[str, Stage]:
    """Every kind of training: from scratch, with hidden states, with samples of either model; two optimisers."""
    root = tmp_path_factory.mktemp("stages")
    chance = random.Random(0)
    tiny.write_splits(root, SIZES, chance)
    data = ["--train", root / "train.parquet", "--dev", root / "dev.parquet"]
    for name, seed in (("teacher", 1), ("student", 2)):
        save(tiny.checkpoint("bart", seed, **tiny.DROPOUT["bart"]), root / name)
    teacher = load(root / "teacher")
    letters, eos = tiny.letter_ids(teacher), teacher.model.eos_token_id
    ids = [f"train{i}" for i in range(SIZES["train"])]
    tokens = [[*chance.choices(letters, k=chance.randint(1, 6)), eos] for _ in ids]
    columns = {"id": ids, "sample": [0] * len(ids), "tokens": tokens}
    write_samples(
        root / "samples.parquet",
        columns | {"log_prob": [-1.0] * len(ids), "finished": [True] * len(ids)},
        {
            "teacher": model_identity(root / "teacher"),
            "tokenizer": tokenizer_identity(teacher.tokenizer),
            "split": sha256(root / "train.parquet"),
        },
    )
    models = [*data, "--start", root / "student", "--teacher", root / "teacher"]

    def terms(method):
        return ["--terms", json.dumps(METHODS[method]["terms"])]

    samples = ["--teacher-samples", root / "samples.parquet"]
    scratch = ["--family", "gpt2", "--init", "scratch", "--vocab-size", 300]
    config = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    return {
        "teacher": Stage(
            "finetune_teacher",
            [*data, *scratch, "--model-config", json.dumps(config), "--epochs", 4, "--selection-metric", "bleu4"],
        ),
        "lora": Stage(
            "finetune_teacher",
            [*data, "--family", "bart", "--init", root / "teacher", "--epochs", 4, "--lora", '{"dropout": 0.1}'],
        ),
        "mle": Stage("distill", [*models, *terms("mle"), "--epochs", 3, "--evaluate-every", 0.5]),
        "predistill": Stage("distill", [*models, *terms("predistill"), "--epochs", 4, "--patience", 2]),
        "js": Stage("distill", [*models, *terms("js"), *samples, "--epochs", 3, "--evaluate-every", 0.5]),
        "tvd_online": Stage("distill", [*models, *terms("tvd_online"), "--epochs", 3, "--evaluate-every", 0.5]),
        "distillm": Stage("distill", [*models, *DISTILLM, "--epochs", 4, "--evaluate-every", 0.5]),
        "adafactor": Stage(
            "distill",
            [*models, *terms("js"), *samples, "--epochs", 3, "--optimizer", "adafactor", "--selection-keep", "last"],
        ),
    }


@pytest.fixture(scope="module")
def untouched(stages, tmp_path_factory):
    """The results of an uninterrupted run without checkpoints: (digests, seconds)."""
    results = {}

    def of(name):
        if name not in results:
            folder = tmp_path_factory.mktemp(name)
            killing.warm_up()
            began = time.monotonic()
            status = killing.run(
                stages[name].script, stages[name].arguments(folder, None), folder.parent / f"{name}.log"
            )
            assert status == 0, (folder.parent / f"{name}.log").read_text()
            results[name] = digests(folder), time.monotonic() - began
        return results[name]

    return of


def kill_until_done(
    stage: Stage, seconds: float, kills: int, chance: random.Random, root: Path
) -> tuple[int, int, dict]:
    """Kill a run at random moments and start it again, until it was killed `kills` times; then let it finish.

    After the first kill one in four comes at any moment, the others after the first step. A run that ends before it is
    killed does not count, and starts again from nothing. Returns the number of kills, the number of starts that resumed
    from a checkpoint, and the digests of the results.
    """
    log, checkpoints, outputs, done = root / "log", root / "checkpoints", root / "outputs", 0
    log.touch()
    while True:
        shutil.rmtree(outputs, ignore_errors=True)  # as a workflow manager does after a failed job
        saved = log.read_text().count("checkpoint saved at")
        noted = len(list(checkpoints.glob(f"*{COST}")))
        process = killing.start(stage.script, stage.arguments(outputs, checkpoints), log)
        if done == kills:
            process.join()
            assert process.exitcode == 0, log.read_text()
            break
        if done and chance.random() < 0.25:
            done += killing.signal_after(process, chance.uniform(0, seconds), signal.SIGKILL)
        else:
            killing.wait_for(lambda saved=saved: log.read_text().count("checkpoint saved at") > saved, process)
            done += killing.signal_after(process, chance.uniform(0, seconds / 4), signal.SIGKILL)
        assert process.exitcode in (0, -signal.SIGKILL), log.read_text()
    assert not checkpoints.exists()
    record = read_json(outputs / f"model{SUFFIX}")
    assert record["attempts"] == noted + 1  # the killed ones that had saved a checkpoint count
    return done, log.read_text().count("resuming from"), digests(outputs)


@pytest.mark.parametrize("name", ["teacher", "lora", "mle", "predistill", "js", "tvd_online", "distillm", "adafactor"])
def test_killed_at_random_moments(stages, untouched, name, tmp_path):
    expected, seconds = untouched(name)
    assert {"train.jsonl", "model/model.safetensors", "model/manifest.json"} < set(expected)
    kills, resumed, results = kill_until_done(stages[name], seconds, KILLS, random.Random(name), tmp_path)
    assert kills == KILLS and resumed
    assert results == expected


def test_an_interrupted_run_saves_a_checkpoint_and_says_so(stages, untouched, tmp_path):
    """Without checkpoints at intervals: it resumes from the one that it saved when it was interrupted."""
    expected, _ = untouched("js")
    log, checkpoints, folder = tmp_path / "log", tmp_path / "checkpoints", tmp_path / "outputs"
    arguments = stages["js"].arguments(folder, checkpoints, "none")
    process = killing.start("distill", arguments, log)
    killing.wait_for(lambda: log.exists() and "step 3: development" in log.read_text(), process)
    assert killing.signal_after(process, 0, signal.SIGTERM)
    assert process.exitcode == STATUS
    last = log.read_text().splitlines()[-1]
    assert "SIGTERM: stopped at step " in last and last.endswith(" of 18; run again to go on")
    assert not folder.exists() and len(list(checkpoints.glob("[0-9]*[0-9]"))) == 1
    assert killing.run("distill", arguments, log) == 0
    assert "resuming from" in log.read_text()
    assert digests(folder) == expected and not checkpoints.exists()
    record = read_json(folder / f"model{SUFFIX}")
    assert record["attempts"] == 2
