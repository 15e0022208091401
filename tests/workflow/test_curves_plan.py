"""Section `logging` in the workflow: its flags reach the training scripts, and a change of it runs nothing again."""

import json

import yaml
from snake import planned, snakemake

LOGGING = {"tensorboard": True, "mlflow": {"experiment": "curves of {all}"}}


def test_logging_reaches_trainings_and_reruns_nothing(tmp_path):
    change = {"dart": {"model": {"teacher": {"init": str(tmp_path)}}}}
    study = {"tasks": ["dart"], "methods": ["mle"], "seeds": [1], "results": "studies/s", "task_overrides": change}
    results = tmp_path / "studies/s/dart"
    for name in ("teacher/seed1/model", "init_student/model", "mle/seed1/model", "prepare"):
        (results / name).mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (results / f"prepare/{split}.parquet").touch()
    (results / "prepare/manifest.json").touch()
    for system in ("teacher", "mle"):
        (results / system / "seed1/train.jsonl").touch()
    (tmp_path / "config.json").touch()

    def run(*arguments, **changes):
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study | changes))
        target = "studies/s/dart/mle/seed1/train.jsonl"
        return snakemake(*arguments, "--configfile", tmp_path / "study.yaml", "--", target, directory=tmp_path).stdout

    run("--touch", "--cores", "1", "--forceall")
    assert planned(run("-n")) == planned(run("-n", logging=LOGGING)) == {}
    assert planned(run("-n", logging=LOGGING, teacher_seed=2)) != {}  # as a setting does that results depend on
    commands = [line for line in run("-n", "-p", "--forceall", logging=LOGGING).splitlines() if "--history" in line]
    assert len(commands) == 2
    for system, command in zip(("teacher", "mle"), commands, strict=True):
        assert f"--curves studies/s/curves/dart/{system}/seed1" in command
        given = json.loads(command.split("--logging '")[1].split("'")[0])
        assert given == {"tensorboard": True, "wandb": None, "mlflow": {"tracking_uri": None, **LOGGING["mlflow"]}}
    assert "--logging" not in run("-n", "-p", "--forceall")
