"""Preflight's check of sinks of curves: packages, keys, servers."""

from types import SimpleNamespace

from fdistill.config import logging_checks
from fdistill.preflight import sinks
from loopback_hub import serving
from plans import plan, problems


def test_a_sink_without_its_package_is_a_problem(project, monkeypatch):
    monkeypatch.setattr(logging_checks, "find_spec", lambda name: None)
    missing = "needs the package {0}, which is not installed; pip install {0}, or set logging.{0}"
    assert problems(sinks.check(plan(project, logging={"tensorboard": True, "mlflow": {}}))) == [
        f"logging.{key}: {missing.format(key)}: {off}" for key, off in (("tensorboard", "false"), ("mlflow", "null"))
    ]
    assert not list(sinks.check(plan(project)))


def test_a_sink_that_preflight_has_no_check_of_is_ready():
    found = sinks.check(SimpleNamespace(study=SimpleNamespace(logging={"pytest": True})))
    assert [str(finding) for finding in found] == ["ok      logging.pytest: ready"]


def test_keys_and_servers_of_sinks(project, tmp_path, monkeypatch):
    for name in ("wandb", "mlflow"):
        (tmp_path / f"{name}.py").touch()  # only looked for
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    with serving(tmp_path) as (address, _):  # whatever it answers
        logging = {"wandb": {"project": "p"}, "mlflow": {"tracking_uri": address}}
        study_plan = plan(project, logging=logging)
        assert problems(sinks.check(study_plan)) == [
            "logging.wandb: no key; set WANDB_API_KEY, or run `wandb login`, or set WANDB_MODE=offline and send it "
            "later"
        ]
        monkeypatch.setenv("WANDB_API_KEY", "0123456789")
        monkeypatch.setenv("WANDB_BASE_URL", address)
        assert problems(sinks.check(study_plan)) == []
    assert [text.split(" is not available")[0] for text in problems(sinks.check(study_plan))] == [
        f"logging.wandb: {address}", f"logging.mlflow: {address}"
    ]  # fmt: skip
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert [text.split(":")[0] for text in problems(sinks.check(study_plan))] == ["logging.mlflow"]
