"""The workflow from other places: as a module of another Snakefile, and beside another checkout's library."""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from snake import ROOT, planned, snakemake

TINY = {
    "source": {"train_size": 48, "dev_size": 8, "test_size": 8},
    "model": {"teacher": {"vocab_size": 400, "config": {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}}},
    "training": {
        "teacher": {"epochs": 1, "batch_size": 16, "evaluate_every": 1},
        "predistill": {"epochs": 1, "batch_size": 16, "max_examples": 16},
    },
    "metrics": ["bleu4"],
}
STUDY = {"tasks": ["data_to_text"], "methods": ["mle"], "seeds": [1], "task_overrides": {"data_to_text": TINY}}
TARGET = "results/data_to_text/mle/metrics.json"
PREPARED = "results/data_to_text/prepare/manifest.json"

MODULE = """
configfile: "config/study.yaml"

module fdistill:
    snakefile: {snakefile}
    {config}

use rule * from fdistill{renamed}
"""


class Project:
    """A folder with a Snakefile that imports the workflow, and a configuration."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "config").mkdir()

    def write(self, settings, config="config: config", renamed="", snakefile=None, rules=""):
        snakefile = snakefile or repr(os.path.relpath(ROOT / "Snakefile", self.folder))
        (self.folder / "config/study.yaml").write_text(yaml.safe_dump(settings))
        text = MODULE.format(snakefile=snakefile, config=config, renamed=renamed)
        (self.folder / "Snakefile").write_text(text + rules)

    def run(self, *arguments, check=True):
        """Run Snakemake in the project's folder; nothing points it to the workflow but the module statement."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, "-m", "snakemake", *map(str, arguments)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, cwd=self.folder, env=environment, timeout=600, **streams)
        if check:
            assert done.returncode == 0, done.stdout[-8000:]
        return done

    def refused(self, *arguments):
        done = self.run("-n", *arguments, check=False)
        assert done.returncode != 0 and "Traceback" not in done.stdout
        return done.stdout


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


def digests(folder):
    """Every output below a folder; the records beside them tell times too."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".provenance.json")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- a module in a folder


def test_a_module_gives_the_same_bytes_as_the_workflow_itself(project, tmp_path):
    project.write(STUDY)
    targets = ["results/data_to_text/teacher/seed1/model", "results/data_to_text/copy/metrics.json"]
    study, direct = ["--configfile", project.folder / "config/study.yaml", "--"], tmp_path / "direct"
    snakemake("--cores", 1, *study, *targets, directory=direct)
    project.run("--cores", 1, *targets)
    outputs = digests(project.folder / "results")
    assert len(outputs) > 10 and outputs == digests(direct / "results")


def test_a_module_runs_the_same_commands_as_the_workflow_itself(project):
    """For the whole study, from the paths of scripts to the last flag.

    But for the report's, whose page names the options that Snakemake was given, which are not the same.
    """
    project.write(STUDY)
    study = ["--configfile", project.folder / "config/study.yaml", "--"]
    runs = project.run("-n", "-p", "all"), snakemake("-n", "-p", *study, "all", directory=project.folder)
    shown = [re.sub(r" --options \S+", "", run.stdout) for run in runs]
    own, direct = (sorted(re.findall(r"^Shell command: (exec .*)$", text, re.M)) for text in shown)
    assert len(own) > 20 and own == direct


def test_rules_may_be_renamed_and_the_study_be_a_section_of_the_configuration(project):
    rules = """
rule mine:
    output:
        "mine.txt",
    resources:
        mem_mb=lambda wildcards: 1,
    shell:
        "cd . && echo $PYTHONPATH > {output}"


rule all:
    default_target: True
    input:
        fdistill.METRICS,
        "mine.txt",


onstart:
    fdistill.onstart()


print("local:", *sorted(workflow._localrules))
"""
    settings = {"samples": {"a": [1]}, "fdistill": STUDY}
    project.write(settings, "config: config['fdistill']", " as fdistill_*", rules=rules)
    shown = project.run("-n").stdout
    jobs = planned(shown)
    assert {rule for rule, _ in jobs} >= {"all", "mine", "fdistill_prepare", "fdistill_distill", "fdistill_metrics"}
    assert sum(rule == "fdistill_metrics" for rule, _ in jobs) == 4  # the teacher, two trivial systems, MLE
    [local] = re.findall(r"^local: (.*)$", shown, re.M)
    assert {"fdistill_prepare", "fdistill_preflight", "fdistill_main_table"} <= set(local.split())
    assert "fdistill_distill" not in local.split()
    project.run("--cores", 1, "mine.txt", "fdistill_preflight")  # each in its own way, with the other beside it
    assert (project.folder / "mine.txt").read_text().startswith(str(ROOT / "workflow"))


def test_some_rules_can_be_imported_alone(project):
    project.write(STUDY)
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("use rule *", "use rule prepare, trivial, score, metrics"))
    jobs = planned(project.run("-n", "results/data_to_text/copy/metrics.json").stdout)
    assert {rule for rule, _ in jobs} == {"prepare", "trivial", "score", "metrics"}


WRONG = STUDY | {"methods": ["mle", "klx"]}


@pytest.mark.parametrize(
    ("settings", "config", "file"),
    [
        (WRONG, "config: config", "config/study.yaml"),
        ({"samples": 3, "fdistill": WRONG}, "config: config['fdistill']", "config/study.yaml: fdistill"),
        ({"studies": {"b": WRONG}}, "config: config['studies']['b']", "config/study.yaml: studies: b"),
        ({}, f"config: {WRONG!r}", "config (merged, e.g. from --config)"),
    ],
    ids=["whole", "section", "section of a section", "dictionary"],
)
def test_a_mistake_is_reported_with_the_file_that_it_is_in(project, settings, config, file):
    project.write(settings, config)
    assert f"  {file}: methods[1]: unknown method 'klx'; did you mean 'kl'?\n" in project.refused(TARGET)


def test_what_the_command_line_sets_is_not_taken_for_the_files(project):
    project.write({"fdistill": STUDY}, "config: config['fdistill']")
    refused = project.refused("--config", "fdistill={seeds: [-1]}", "--", TARGET)
    assert "config (merged, e.g. from --config): seeds[0]: " in refused


def test_without_a_configuration_a_module_has_the_default(project):
    project.write({"samples": 3}, config="")
    jobs = planned(project.run("-n", "results/dialogue/mle/seed1/model").stdout)
    assert ("distill", "task=dialogue, method=mle, seed=1") in jobs


@pytest.mark.parametrize(
    ("section", "text"),
    [
        (None, "its `config:` is empty; write the study there, with tasks, methods and seeds"),
        ({}, "its `config:` is empty; write the study there, with tasks, methods and seeds"),
        ([1], "its `config:` is [1]; give it a mapping, the study"),
        ("text", "its `config:` is 'text'; give it a mapping, the study"),
    ],
    ids=["null", "empty", "list", "text"],
)
def test_a_section_that_is_no_study_is_refused(project, section, text):
    project.write({"fdistill": section}, "config: config['fdistill']")
    assert f"module of f-DISTILL: {text}" in project.refused(TARGET)


def test_numbers_on_the_command_line_reach_a_section(project):
    project.write({"fdistill": STUDY}, "config: config['fdistill']")
    shown = project.run("-n", "--config", "fdistill={seeds: [2, 3]}", "--", TARGET).stdout
    assert ("distill", "task=data_to_text, method=mle, seed=3") in planned(shown)


def test_the_projects_own_tasks_and_methods_come_first(project):
    tasks = project.folder / "config/tasks"
    tasks.mkdir()
    task = yaml.safe_load((ROOT / "config/tasks/data_to_text.yaml").read_text())
    for name in ("own", "dialogue"):
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump(task | {"title": f"Our {name}"}))
    methods = yaml.safe_load((ROOT / "config/methods.yaml").read_text())
    own_methods = project.folder / "config/methods.yaml"
    own_methods.write_text(yaml.safe_dump({"ours": methods["mle"] | {"title": "Ours"}}))
    project.write({"tasks": ["own", "dialogue", "en_ro"], "methods": ["ours"], "seeds": [1]})
    shown = project.run("-n", "-p", "all").stdout
    assert "--tasks own dialogue en_ro --teacher teacher" in shown
    assert ("distill", "task=en_ro, method=ours, seed=1") in planned(shown)
    [file] = set(re.findall(r"--texts (\S+)", shown))
    texts = json.loads((project.folder / file).read_text())
    titles = {name: texts["tasks"][name]["title"] for name in ("own", "dialogue")}
    assert titles == {"own": "Our own", "dialogue": "Our dialogue"} and texts["systems"]["ours"] == "Ours"
    (tasks / "own.yaml").write_text(yaml.safe_dump(task | {"titel": "Our own"}))
    assert "config/tasks/own.yaml: titel: unknown key" in project.refused("all")


def test_preflight_reads_what_the_project_has(project):
    tasks = project.folder / "config/tasks"
    tasks.mkdir()
    shutil.copy(ROOT / "config/tasks/data_to_text.yaml", tasks / "own.yaml")
    project.write(
        {"samples": 3, "fdistill": STUDY | {"tasks": ["own"], "task_overrides": {"own": TINY}}},
        "config: config['fdistill']",
    )
    assert "own: teacher: 0.1 M parameters" in project.run("--cores", 1, "preflight").stdout


@pytest.mark.parametrize("setting", ["prefix: 'a'", "replace_prefix: {'results': 'other'}"])
def test_a_prefix_is_refused(project, setting):
    project.write(STUDY, f"config: config\n    {setting}")
    assert "cannot have a prefix or replace_prefix; run it in a folder of its own" in project.refused(TARGET)


# --- a module in a repository


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A repository of the workflow as it is here, with a tag."""
    folder = tmp_path_factory.mktemp("hub") / "someone/f-distill"
    for part in ("rules", "workflow", "config", "envs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_a_remote_module_finds_the_library_the_configuration_and_the_scripts(project, checkout, tmp_path, monkeypatch):
    """GitHub is asked for a clone, and Git is told to take the repository beside it instead."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{checkout.parents[1]}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    project.write(STUDY, snakefile="github('someone/f-distill', path='workflow/Snakefile', tag='v1')")
    project.run("--cores", 1, PREPARED)
    assert (project.folder / PREPARED).exists()
    [unpacked] = [path for path in (project.folder / ".snakemake/fdistill").iterdir() if path.name != "settings"]
    head = subprocess.run(["git", "rev-parse", "v1"], cwd=checkout, capture_output=True, text=True, check=True)
    assert unpacked.name == head.stdout.strip()
    [record] = (project.folder / PREPARED).parent.glob("*.provenance.json")
    code = json.loads(record.read_text())["code"]
    assert (code["commit"], code["dirty"]) == (unpacked.name, False)


def test_a_web_page_is_refused(project, checkout):
    """Files can be read from it one by one, but nobody can say which there are."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=checkout)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        project.write(STUDY, snakefile=repr(f"http://127.0.0.1:{server.server_port}/Snakefile"))
        refused = project.refused(TARGET)
        server.shutdown()
    assert "import the workflow from a folder, or by github(...) or gitlab(...)" in refused


# --- two checkouts


def test_another_checkout_on_pythonpath_is_not_used(tmp_path, monkeypatch):
    other = tmp_path / "other/fdistill"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('another fdistill')\n")
    monkeypatch.setenv("PYTHONPATH", str(other.parent))
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-c", "import fdistill"], check=True, capture_output=True)
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    given = ["--configfile", file, "--"]
    assert ("prepare", "task=data_to_text") in planned(snakemake("-n", *given, TARGET, directory=tmp_path).stdout)
    snakemake("--cores", 1, *given, PREPARED, directory=tmp_path)  # its job too
    assert (tmp_path / PREPARED).exists()


def test_two_checkouts_in_one_snakefile_are_refused(project, checkout):
    other = MODULE.format(snakefile=repr(f"{checkout}/Snakefile"), config="config: config", renamed=" as other_*")
    project.write(STUDY, rules=other.replace("module fdistill", "module other").replace("from fdistill", "from other"))
    assert f"{checkout}: another fdistill is loaded" in project.refused(TARGET)


# --- what reaches into an importing Snakefile


def test_rules_leave_other_rules_alone():
    """A prefix of commands and a list of local rules hold for all of Snakemake; a rule's own words for it alone."""
    for file in (ROOT / "rules").glob("*.smk"):
        text = file.read_text()
        assert not re.search(
            r"^(?:localrules|ruleorder|envvars|workdir|container):|shell\.(?:prefix|executable)", text, re.M
        )
        commands = re.findall(r"^    shell:\n        (.*)\n", text, re.M)
        assert all(command.startswith('"exec ') for command in commands), file
