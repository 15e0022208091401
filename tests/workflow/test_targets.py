"""What Snakemake is asked for: misspelt targets, tasks with mistakes, values of --config, texts that break commands."""

import json
import re
import shlex
import shutil

import pytest
import yaml
from snake import ROOT, planned, snakemake

TARGET = "results/data_to_text/js/metrics.json"


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("results/xsun/tvd/metrics.json", "results/xsum/tvd/metrics.json"),
        ("results/xsum/tdv/metrics.json", "results/xsum/tvd/metrics.json"),
        ("./results/xsum/tvd/seed7/modle", "results/xsum/tvd/seed7/model"),
        ("results/tables/man.md", "results/tables/main.md"),
        ("results/figures/xsum.curve.svg", "results/figures/xsum.curves.svg"),
        ("preflght", "preflight"),
    ],
)
def test_a_misspelt_target_is_refused_with_the_nearest(target, meant, tmp_path):
    done = snakemake("-n", target, directory=tmp_path, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert f"no rule makes it; did you mean '{meant}'?" in done.stdout


def test_a_target_like_no_other_is_told_the_names(tmp_path):
    done = snakemake("-n", "--", TARGET, "x/y", directory=tmp_path, check=False)
    assert "x/y: no rule makes it; tasks: art, cnn_dailymail, " in done.stdout and "js_exact" in done.stdout


def test_values_of_options_are_no_targets(tmp_path):
    given = ["--forcerun", "score", "--until", "results/data_to_text/js/seed1/score.json", "--config", "seeds=[1]"]
    jobs = planned(snakemake("-n", *given, "--", TARGET, directory=tmp_path).stdout)
    assert ("score", "task=data_to_text, system=js, seed=1") in jobs


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the workflow, in which one task that no study names has mistakes."""
    folder = tmp_path_factory.mktemp("checkout") / "f-distill"
    for part in ("rules", "workflow", "config", "envs", "profiles"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    text = (folder / "config/tasks/xsum.yaml").read_text()
    (folder / "config/tasks/xsum.yaml").write_text(text.replace("title:", "titel:", 1))
    return folder


LINE = "config/tasks/xsum.yaml: titel: unknown key; did you mean 'title'?"


def test_a_task_with_mistakes_stops_only_what_needs_it(checkout, tmp_path):
    shown = snakemake("-n", TARGET, root=checkout, directory=tmp_path, cold=True).stdout
    assert f"Task 'xsum' is not in this study, and cannot be used in it: {LINE} (and 1 more)\n" in shown
    assert ("metrics", "task=data_to_text, system=js") in planned(shown)
    done = snakemake("-n", "results/figures/xsum.risk.svg", root=checkout, directory=tmp_path, check=False, cold=True)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert f"results/figures/xsum.risk.svg: the configuration has mistakes:\n  {LINE}\n" in done.stdout


def test_values_of_the_command_line_have_the_types_of_a_file(tmp_path):
    changes = {
        "data_to_text": {"training": {"teacher": {"epochs": 2, "patience": None}}, "decoding": {"do_sample": True}}
    }
    given = ["seeds=[1,2]", "teacher_seed=7", "gpu_memory=null", f"task_overrides={json.dumps(changes)}"]
    shown = snakemake("-n", "-p", "--config", *given, "--", TARGET, directory=tmp_path).stdout
    jobs = planned(shown)
    assert ("distill", "task=data_to_text, method=js, seed=2") in jobs
    assert ("finetune_teacher", "task=data_to_text, seed=7") in jobs
    assert "--epochs=2" in shown and "--patience=none" in shown and "--do-sample=true" in shown


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("seeds=[1,x]", 'seeds[1]: "x" is not allowed; must be an integer'),
        ("seeds=[1", "--config seeds: line 2: not YAML"),
        ("seeds=[2020-01-01]", "--config seeds: line 1: [0]: 2020-01-01 is a date to YAML; put it in quotes"),
        (
            "seeds=" + "[" * 100 + "]" * 100,
            "--config seeds: line 1: mappings and lists nested more than 50 levels deep",
        ),
    ],
)
def test_mistakes_on_the_command_line(setting, text, tmp_path):
    done = snakemake("-n", "--config", setting, "--", TARGET, directory=tmp_path, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stdout and text in done.stdout


TITLE = "</script><script>alert(1)</script> <!-- {word} {wildcards.task} 'q' \"d\" $(x)"


def test_texts_of_any_form_reach_tables_and_no_command(tmp_path):
    """Neither the command nor the report's page, which shows parameters and commands, has the title."""
    paths = {}
    for split in ("train", "dev", "test"):
        rows = [{"document": f"{split} {i}", "summary": f"answer {i % 2}"} for i in range(4)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths[split] = f"{split}.jsonl"
    texts = {"title": TITLE, "description": f"{{x}} {TITLE} {'y' * 800}", "stands_for": TITLE}
    task = texts | {"source": {"path": paths, "expected_counts": None}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"tasks": ["xsum"], "task_overrides": {"xsum": task}}))
    given, table = ["--configfile", tmp_path / "study.yaml", "--"], "results/tables/datasets.md"
    shown = snakemake("--cores", 1, "-p", *given, table, directory=tmp_path).stdout
    assert "alert(1)" not in shown
    [file] = set(re.findall(r"--texts (\S+)", shown))
    assert json.loads((tmp_path / file).read_text())["tasks"]["xsum"] == texts
    assert "alert(1)" in (tmp_path / table).read_text() and "{word}" in (tmp_path / table).read_text()
    prefix = "{word} {wildcards.task} 'q' \"d\" $(x): "
    (tmp_path / "study.yaml").write_text(
        yaml.safe_dump({"tasks": ["xsum"], "task_overrides": {"xsum": task | {"text": {"source_prefix": prefix}}}})
    )
    shown = snakemake("-n", "-p", *given, "results/xsum/mle/seed1/generate.parquet", directory=tmp_path).stdout
    assert f"--source-prefix={prefix}" in shlex.split(re.search(r"^.*exec python \S*generate.py .*$", shown, re.M)[0])
    snakemake("--report", "report.html", *given, table, directory=tmp_path)
    assert "alert(1)" not in (tmp_path / "report.html").read_text().replace("\\", "")
