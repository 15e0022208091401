"""Nothing that a stranger wrote is run: names, paths and titles in commands, code beside data; no secret is told."""

import json
import logging
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from chain import Study
from fdistill.config import cli, schema_flags
from fdistill.data.sources.published.hub import Hub
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import redact
from small_config import METHODS, TABLE, WEB, Project
from snake import ROOT, snakemake

HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "a b; touch pwned",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "a\ntouch pwned",
]
HOSTILE += [
    "a' $(touch pwned) \"b",
    "-rf",
    "../pwned",
    "{wildcards.task}",
    "a|touch pwned",
    "a&&touch pwned",
    "~root",
    "*",
]


# --- commands


def shell_commands():
    for file in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        for block in re.findall(r"^    shell:\n((?:        .*\n)+)", file.read_text(), re.M):
            yield file.name, block


def test_every_value_in_every_command_is_quoted():
    blocks = list(shell_commands())
    assert len(blocks) >= 15
    for file, block in blocks:
        for value in re.findall(r"(?<!{){([^{}]+)}", block):
            assert value.endswith(":q") or value == "threads", f"{file}: {{{value}}} in {block}"


def test_no_program_is_started_by_a_shell_and_no_strangers_code_is_trusted():
    for file in [*(ROOT / "workflow").rglob("*.py"), *(ROOT / "rules").glob("*.smk")]:
        found = re.findall(
            r"shell=True|os\.system|os\.popen|trust_remote_code=True|weights_only=False", file.read_text()
        )
        found += re.findall(
            r"(?<![.\w])(?:eval|exec)\(|pickle\.loads?\(|yaml\.load\(|use_safetensors=False\)$", file.read_text()
        )
        assert not found, f"{file}: {found}"


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name])
def test_a_task_or_method_of_a_hostile_name_is_refused(tmp_path, name):
    project = Project(tmp_path / "project")
    project.write(f"config/tasks/{name}.yaml", WEB)
    project.write(METHODS, TABLE | {name: TABLE["kl"]})
    mistakes = project.mistakes()
    assert sum("becomes a folder's name; use lower-case letters, digits and _ only" in line for line in mistakes) == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_reaches_a_script_as_it_is(text):
    """Through a shell, as Snakemake runs a command: one argument, byte for byte."""
    (written,) = schema_flags.flags("text", {"max_source_tokens": 8, "max_target_tokens": 8, "source_prefix": text})[2:]
    command = f"{shlex.quote(sys.executable)} -c 'import sys; sys.stdout.write(sys.argv[1])' {shlex.quote(written)}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    assert done.stdout == f"--source-prefix={text}"


def test_a_study_of_hostile_titles_and_paths_runs_and_runs_nothing_else(tmp_path):
    """Really run: data, a system, its outputs and a table, in a folder and from files whose names are commands."""
    hostile = "a b; $(touch pwned) `touch pwned` 'q' \"d\" & x"
    folder, texts = tmp_path / f"work {hostile}", tmp_path / f"data {hostile}"
    folder.mkdir()
    texts.mkdir()
    paths = {}
    for split in ("train", "dev", "test"):
        file = texts / f"{split} $(touch pwned); 'x'.jsonl"
        rows = [{"document": f"{split} {i}", "summary": f"answer {i % 2}"} for i in range(4)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths[split] = str(file)
    overrides = {"source": {"path": paths, "expected_counts": None}, "title": f"{hostile}\ntouch pwned"}
    overrides |= {"description": "'; touch pwned; '", "stands_for": "$(touch pwned)", "metrics": ["bleu4"]}
    study = {"tasks": ["xsum"], "methods": ["mle"], "cache": str(tmp_path / "cache $(touch pwned)")}
    config = texts / "study.yaml"
    config.write_text(yaml.safe_dump(study | {"task_overrides": {"xsum": overrides}}))
    given = ["--configfile", config, "--"]
    shown = snakemake("-n", "-p", *given, "all", directory=folder).stdout
    assert "touch pwned" in shown
    targets = ["results/xsum/most_frequent/seed1/generate.parquet", "results/tables/datasets.md"]
    snakemake("--cores", 1, *given, *targets, directory=folder)
    assert all((folder / target).exists() for target in targets)
    assert "$(touch pwned)" in (folder / "results/tables/datasets.md").read_text().replace("\\", "")
    assert not [*tmp_path.rglob("pwned"), *ROOT.glob("pwned")]


# --- data


def test_a_data_set_with_a_loading_script_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_TRUST_REMOTE_CODE", "1")
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(UserError):
        Hub(str(folder)).read()
    assert not (tmp_path / "ran").exists()


# --- secrets

SECRETS = {"HF_TOKEN": "hf_planted0123456789", "PIP_PASSWORD": "hunter2-planted", "MY_API_KEY": "key-planted-42"}


@pytest.fixture
def planted(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_secrets_are_hidden_and_nothing_else_is(planted, monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    said = "false: https://me:p4ssw0rd@host.org/a@b, hf_planted0123456789; me@host.org, x://y"
    assert redact(said) == "false: https://***@host.org/a@b, ***; me@host.org, x://y"
    monkeypatch.setenv("HF_TOKEN", "hf_planted0123456789\r\n")  # as read from a file, while it is sent without its end
    assert redact("hf_planted0123456789") == "***"


@pytest.mark.parametrize("error", [UserError, RuntimeError])
def test_no_secret_in_a_log_an_error_or_a_traceback(planted, capsys, error):
    def main():
        for value in os.environ.values():
            logging.getLogger("any").info("begin %s end", value)
        try:
            raise ValueError(SECRETS["PIP_PASSWORD"])
        except ValueError:
            logging.getLogger("any").exception("https://me:p4ssw0rd@host.org failed")
        raise error(f"no access with {SECRETS['HF_TOKEN']} to https://me:p4ssw0rd@host.org")

    with pytest.raises(SystemExit) as end:
        cli.run(main)
    said = capsys.readouterr().err + str(end.value)
    assert "no access with *** to https://***@host.org" in said and "begin *** end" in said
    assert ("Traceback" in str(end.value)) == (error is RuntimeError)
    assert not [value for value in (*SECRETS.values(), "p4ssw0rd") if value in said]


def test_no_secret_in_a_file_of_a_study(planted, tmp_path, capfd):
    study = Study(tmp_path / "study").make()
    files = [path for path in study.folder.rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        assert not [value for value in SECRETS.values() if value.encode() in path.read_bytes()], path
    said = capfd.readouterr()
    assert not [value for value in SECRETS.values() if value in said.out + said.err]


def test_a_script_that_cannot_reach_its_model_does_not_tell_the_password(planted, tmp_path):
    study = Study(tmp_path / "study")
    study.prepare()
    script, *arguments = map(str, study.command("finetune_teacher"))
    arguments[arguments.index("--init") + 1] = "https://me:p4ssw0rd@host.invalid/model"
    command = [sys.executable, ROOT / "workflow/scripts" / f"{script}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 1 and "https://***@host.invalid/model" in done.stderr
    assert "p4ssw0rd" not in done.stdout + done.stderr and "Traceback" not in done.stderr
