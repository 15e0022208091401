"""A study's configuration: what is read, changes to tasks, and the file that a mistake is named after."""

import json
import random
import subprocess
import sys
from copy import deepcopy

import pytest
import yaml
from fdistill import config
from fdistill.config.files import merge, with_types
from fdistill.losses import objectives
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig
from small_config import CHAT, MAIN, MERGED, METHODS, OPEN, STUDY, TABLE, TASK, WEB, put
from snake import ROOT

# --- what is read ---


def test_a_study(project):
    study = project.load()
    assert (study.tasks, study.methods, study.seeds) == (["web"], ["mle", "kl"], [1])
    assert (study.teacher_seed, study.device, study.examples_per_task) == (1, "auto", 2)
    assert study.all_tasks == ["web"]
    assert study.all_methods == list(TABLE)
    task = study.task("web")
    assert task["training"]["distill"]["batch_size"] == 8
    assert task["teacher_beam"] == {
        "mode": "beam", "per_input": 1, "batch_size": None, "engine": "transformers", "num_beams": 4,
        "top_k": None, "top_p": None, "length_penalty": None, "early_stopping": None,
        "max_new_tokens": None, "min_new_tokens": None, "no_repeat_ngram_size": None,
        "temperature": None, "num_beam_groups": None, "diversity_penalty": None,
    }  # fmt: skip
    assert task["teacher_samples"]["mode"] == "ancestral"
    assert task["selection"] == {
        "metric": "nll", "keep": "best", "num_beams": 1, "length_penalty": 1.0, "max_inputs": None, "batch_size": 32,
        "agreement_top_k": 5,
    }  # fmt: skip
    assert task["model"]["teacher"]["vocab_size"] == 2000
    assert study.method("kl")["terms"][0] == {
        "sequences": "teacher_samples", "loss": "kl", "weight": 1.0, "temperature": 1.0, "parameters": {},
    }  # fmt: skip


def test_a_caller_cannot_change_the_study(project):
    study = project.load()
    study.task("web")["metrics"].append("ter")
    assert study.task("web")["metrics"] == ["bleu4"]


def test_unknown_names_are_refused(project):
    study = project.load()
    with pytest.raises(UserError, match="unknown task 'wep'; did you mean 'web'"):
        study.task("wep")
    with pytest.raises(UserError, match="unknown method 'gan'; known: mle, predistill, seqkd, kl"):
        study.method("gan")
    with pytest.raises(UserError, match="unknown task 'wep'"):
        study.method("kl", "wep")


def test_parameters_of_a_loss_get_that_losss_defaults(project):
    term = {"sequences": "teacher_samples", "loss": "kl_p_mixture", "parameters": {"exact": True}}
    project.write(METHODS, put(TABLE, "kl.terms", [term]))
    assert project.load().method("kl")["terms"][0]["parameters"] == {"exact": True, "beta": 0.5}


def test_yaml_anchors_and_merge_keys_work(project):
    project.write(METHODS, METHODS_WITH_ANCHOR)
    assert project.load(methods=["mle"]).method("predistill")["terms"][0]["loss"] == "kl"


METHODS_WITH_ANCHOR = """
mle: &mle
  title: MLE
  start: init_student
  training: predistill
  terms: [{sequences: ground_truth, loss: nll}]
predistill:
  <<: *mle
  title: Pre
  terms: [{sequences: ground_truth, loss: kl}]
"""


# --- changes to tasks ---


def test_overrides_are_merged_key_by_key(project):
    changes = {
        "training": {"distill": {"learning_rate": 0.5}},
        "metrics": ["ter", "chrf"],
        "teacher_beam": {"num_beams": 2},
        "model": {"teacher": {"config": {"encoder_layers": 6}}},
    }
    project.write(OPEN, {"seeds": [1, 2], "task_overrides": {"web": changes}})
    study = project.load()
    task = study.task("web")
    assert study.seeds == [1, 2]
    assert [task["training"][stage]["learning_rate"] for stage in ("teacher", "distill")] == [0.001, 0.5]
    assert task["metrics"] == ["ter", "chrf"]
    assert (task["teacher_beam"]["mode"], task["teacher_beam"]["num_beams"]) == ("beam", 2)
    assert task["model"]["teacher"]["config"]["encoder_layers"] == 6
    assert task["model"]["teacher"]["config"]["decoder_layers"] == 2


def test_overrides_of_two_files_and_the_command_line(project):
    project.write(OPEN, {"task_overrides": {"web": {"decoding": {"num_beams": 5, "length_penalty": 0.5}}}})
    project.write("config/more.yaml", {"task_overrides": {"web": {"decoding": {"num_beams": 6}}}})
    decoding = project.load(task_overrides={"web": {"decoding": {"batch_size": 3}}}).task("web")["decoding"]
    assert (decoding["num_beams"], decoding["length_penalty"]) == (6, 0.5)
    assert (decoding["batch_size"], decoding["max_new_tokens"]) == (3, 16)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"model": {"studnt": {}}},
            f"{OPEN}: task_overrides.web.model.studnt: unknown key; did you mean 'student'?",
        ),
        (
            {"decoding": {"num_beams": 0}},
            f"{OPEN}: task_overrides.web.decoding.num_beams: 0 is not allowed; must be an integer from 1 to 1000 "
            "(Number of beams; 1 is greedy decoding, or plain sampling with do_sample.)",
        ),
        (
            {"model": {"student": {"decoder": 3}}},
            f"{OPEN}: task_overrides.web.model.student.decoder: 3 is a student of 3 layers, but the "
            f"teacher has 2 "
            "(model.teacher.config.decoder_layers); set 1 to 2",
        ),
        (
            {"metrics": ["bleu4", "blue2"]},
            f"{OPEN}: task_overrides.web.metrics[1]: unknown metric 'blue2'; did you mean 'bleu2'?",
        ),
        (
            {"teacher_samples": {"top_p": 0.9}},
            f"{OPEN}: task_overrides.web.teacher_samples.top_p: 0.9 is not used with mode 'ancestral', "
            f"only with "
            "nucleus, beam_sample; remove it or change mode",
        ),
        (  # the changes alone are right, and so is the file
            {"model": {"teacher": {"config": {"encoder_layers": 1}}}},
            f"{TASK}: model.student.encoder: 2 is a student of 2 layers, but the teacher has 1 "
            "(model.teacher.config.encoder_layers); set 1 to 1 (with task_overrides.web)",
        ),
    ],
)
def test_mistakes_in_overrides_name_the_config_file(project, changes, line):
    project.write(OPEN, {"task_overrides": {"web": changes}})
    assert project.mistakes() == [line]


def test_overrides_of_an_unknown_task(project):
    project.write(OPEN, {"task_overrides": {"wep": {"decoding": {"num_beams": 2}}}})
    assert project.mistakes() == [f"{OPEN}: task_overrides.wep: unknown task 'wep'; did you mean 'web'?"]


def test_a_task_file_must_be_valid_without_its_overrides(project):
    project.write(TASK, put(WEB, "decoding.num_beams", 0))
    project.write(OPEN, {"task_overrides": {"web": {"decoding": {"num_beams": 2}}}})
    (line,) = project.mistakes()
    assert line.startswith(f"{TASK}: decoding.num_beams: 0 is not allowed")


def test_overrides_cure_keys_of_a_task_file_that_do_not_go_together(project):
    """Which keys go with each other and with the study's methods is checked after the overrides alone."""
    project.write(TASK, put(WEB, "model.student.decoder", 3))
    text = "model.student.decoder: 3 is a student of 3 layers, but the teacher has 2 "
    for changes in ({}, {"decoding": {"num_beams": 2}}):  # neither touches the key
        project.write(OPEN, {"task_overrides": {"web": changes}})
        (line,) = project.mistakes()
        assert line.startswith(f"{TASK}: {text}") and "with task_overrides" not in line
    project.write(OPEN, {"task_overrides": {"web": {"model": {"student": {"decoder": 3}}}}})
    (line,) = project.mistakes()
    assert line.startswith(f"{OPEN}: task_overrides.web.{text}")
    for cure in ({"student": {"decoder": 1}}, {"teacher": {"config": {"decoder_layers": 3}}}):
        project.write(OPEN, {"task_overrides": {"web": {"model": cure}}})
        assert project.load().task("web")["model"]["student"]["decoder"] in (1, 3)


@pytest.mark.parametrize("seed", range(20))
def test_merging_changes_what_it_names_and_nothing_else(seed):
    rng = random.Random(seed)

    def mapping(depth: int) -> dict:
        keys = rng.sample("abcdef", rng.randint(0, 4))
        return {k: mapping(depth - 1) if depth and rng.random() < 0.6 else rng.choice([1, [2, 3], None]) for k in keys}

    def leaves(settings, path=()):
        if isinstance(settings, dict) and settings:
            return {p: v for key, value in settings.items() for p, v in leaves(value, (*path, key)).items()}
        return {path: settings}

    base, changes = mapping(3), mapping(3)
    before = deepcopy((base, changes))
    merged = merge(base, changes)
    assert (base, changes) == before
    assert merge(base, {}) == base and merge(merged, changes) == merged
    for path, value in leaves(changes).items():
        inner = merged
        for key in path:
            inner = inner[key]
        assert inner == value or value == {}
    for path, value in leaves(base).items():
        if not any(p[: len(path)] == path or path[: len(p)] == p for p in leaves(changes)):
            assert leaves(merged)[path] == value


# --- which file ---


def test_each_config_file_is_named(project):
    project.write(MAIN, STUDY | {"seed": 1})
    project.write(OPEN, {"seeds": [1, "two"], "tasks": ["wep"]})
    assert project.mistakes(device="gpu", methds=["kl"]) == [
        f"{MAIN}: seed: unknown key; did you mean 'seeds'?",
        f"{OPEN}: seeds[1]: \"two\" is not allowed; must be an integer from 0 to 4294967295",
        f"{MERGED}: methds: unknown key; did you mean 'methods'?",
        f"{MERGED}: device: \"gpu\" is not allowed; must be one of auto, cpu, cuda "
        "(The device that models run on; `auto` uses a GPU if there is one.)",
        f"{OPEN}: tasks[0]: unknown task 'wep'; did you mean 'web'?",
    ]  # fmt: skip


def test_a_key_of_tasks_in_the_study_is_told_where_it_belongs(project):
    project.write(MAIN, STUDY | {"method_overrides": {"kl": {"start": "init_student"}}})
    (line,) = project.mistakes()
    assert line == (
        f"{MAIN}: method_overrides: a key of tasks, not of the study; write it into a task's file, or under "
        "task_overrides.TASK"
    )


def test_a_bad_value_that_a_later_file_replaces_is_still_a_mistake(project):
    project.write(MAIN, STUDY | {"seeds": 1})
    project.write(OPEN, {"seeds": [2]})
    (line,) = project.mistakes()
    assert line.startswith(
        f"{MAIN}: seeds: 1 is not allowed; must be a list (each an integer from 0 to 4294967295; at least 1; "
    )


def test_missing_keys_are_missed_once(project):
    project.write(MAIN, {"seeds": [1]})
    project.write(OPEN, {"seeds": [2]})
    lines = project.mistakes()
    assert [line.split(" (")[0] for line in lines] == [
        f"{MAIN}: tasks: missing; set a list",
        f"{MAIN}: methods: missing; set a list",
    ]


def test_unknown_names_from_the_command_line(project):
    assert project.mistakes(methods=["klx"]) == [f"{MERGED}: methods[0]: unknown method 'klx'; did you mean 'kl'?"]
    changes = {"web": {"model": {"student": {"decoder": 9}}}}
    (line,) = project.mistakes(task_overrides=changes)
    assert line.startswith(f"{MERGED}: task_overrides.web.model.student.decoder: 9 is a student of 9 layers")


def test_everything_is_reported_at_once(project):
    project.write(MAIN, STUDY | {"seeds": []})
    project.write(METHODS, put(TABLE, "kl.terms.0.loss", "kll"))
    project.write(TASK, put(put(WEB, "training.teacher.batch_sise", 1), "metrics", ["blue4"]))
    project.write("config/tasks/bad.yaml", "a: [")
    project.write("config/tasks/chat.yaml", put(CHAT, "model.student.encoder", 1))
    files = [line.split(":")[0] for line in project.mistakes()]
    assert sorted(files) == sorted([MAIN, METHODS, TASK, TASK, "config/tasks/bad.yaml", "config/tasks/chat.yaml"])


def test_one_mistake_is_one_line(project):
    """A wrong choice says nothing about the keys that go with it."""
    project.write(TASK, WEB | {"teacher_samples": {"mode": "nucleos", "top_p": 0.9}})
    (line,) = project.mistakes()
    assert line.startswith(f'{TASK}: teacher_samples.mode: "nucleos" is not allowed')


def test_tasks_that_the_study_does_not_use_are_checked_too(project):
    project.write("config/tasks/chat.yaml", put(CHAT, "model.student.decoder", 5))
    (line,) = project.mistakes()
    assert line.startswith("config/tasks/chat.yaml: model.student.decoder: 5 is a student of 5 layers")


# --- the shipped files ---


def test_the_shipped_files():
    files = sorted((ROOT / "config").glob("*.yaml"))
    assert ROOT / MAIN in files
    main = yaml.safe_load((ROOT / MAIN).read_text())
    for file in files:
        if file.name.startswith(("methods", "claims")):
            continue
        merged = merge(main, yaml.safe_load(file.read_text()))
        study = config.load(merged, [ROOT / MAIN, file], ROOT)
        assert set(study.all_tasks) == {path.stem for path in (ROOT / "config/tasks").glob("*.yaml")}
        for name in study.all_tasks:
            task = study.task(name)
            for kind in ("teacher_samples", "teacher_beam"):
                sampled = {key: value for key, value in task[kind].items() if key not in ("per_input", "batch_size")}
                SamplingConfig.from_settings(sampled, task["text"]["max_target_tokens"])
        for name in study.all_methods:
            for task in [None, *study.all_tasks]:
                method = study.method(name, task)
                objectives.Objective.from_config(method["terms"])
                SamplingConfig.from_settings(method["student_samples"], 1000)


def test_reading_the_configuration_imports_no_model_library():
    code = (
        "import sys, yaml; from pathlib import Path; from fdistill import config; from fdistill.config import cli\n"
        f"root = Path({str(ROOT)!r}); file = root / {MAIN!r}\n"
        "config.load(yaml.safe_load(file.read_text()), [file], root)\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'sacrebleu', 'nltk'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_task_with_mistakes_stops_only_what_needs_it(project):
    project.write("config/tasks/other.yaml", {"titel": "Other"} | {k: v for k, v in WEB.items() if k != "title"})
    study = project.load()
    assert study.all_tasks == ["other", "web"] and study.task("web")["title"] == "Web"
    assert list(study.task_mistakes) == ["other"]
    with pytest.raises(UserError, match=r"config/tasks/other.yaml: titel: unknown key; did you mean 'title'\?"):
        study.task("other")
    assert len(project.mistakes(tasks=["web", "other"])) == 2
    lines = project.mistakes(seeds=[-1])  # what stops the study is reported with every other mistake
    assert len(lines) == 3 and lines[0].startswith(f"{MERGED}: seeds[0]: ")


def test_mistakes_in_the_overrides_of_a_task_are_the_studys(project):
    project.write("config/tasks/other.yaml", WEB)
    (line,) = project.mistakes(task_overrides={"other": {"metrics": ["blue4"]}})
    assert line == f"{MERGED}: task_overrides.other.metrics[0]: unknown metric 'blue4'; did you mean 'bleu4'?"


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("source.prefix", "a\0b", 'source.prefix: "a\\u0000b" contains the control character U+0000; remove it'),
        ("metric_options.ter.max_references", 10**400, "is not allowed; must be a number from -1e12 to 1e12"),
        ("metric_options.ter.max_references", float("nan"), "NaN is not allowed; must be a number from -1e12 to 1e12"),
        (
            "model.teacher.config.dropout",
            float("inf"),
            "model.teacher.config.dropout: Infinity is not allowed; must be",
        ),
        ("model.teacher.config.name", "x" * 10_001, "has 10,001 characters; at most 10,000 are allowed"),
        ("model.teacher.config.table", [999] * 9000, "bytes as an argument of a command, more than 30,000; shorten it"),
        ("text.source_prefix", "</SCRIPT>", "contains '</SCRIPT', which breaks the page of `snakemake --report`"),
        (
            "source.url",
            "https://me:p4ssw0rd@host.org/x",
            "source.url: contains a password or a user's name, which Snakemake would write",
        ),
        ("model.teacher.config.name", "<!-- a", "contains '<!--', which breaks the page of `snakemake --report`"),
    ],
)
def test_what_commands_and_the_report_cannot_hold(project, path, value, text):
    project.write(TASK, put(WEB, path, value))
    assert any(text in line for line in project.mistakes())


def test_titles_hold_any_visible_text(project):
    texts = {"title": "</script> {word}", "description": "<!-- {x} 'q' \"d\" >\n", "stands_for": "`$(x)`"}
    project.write(TASK, WEB | texts)
    assert texts.items() <= project.load().task("web").items()


def test_values_of_the_command_line_are_read_as_yaml():
    parsed = {"seeds": ["1", "2"], "device": "cpu", "tables": {"a": "null", "b": "true"}, "teacher_seed": 3}
    config = {"tasks": ["web"], "examples_per_task": 2, **parsed}
    entries = ["seeds=[1,2]", "device=cpu", "tables={a: null, b: true}", "teacher_seed=3"]
    typed = {"seeds": [1, 2], "tables": {"a": None, "b": True}}
    assert with_types(config, parsed, entries) == config | typed
    changed = config | {"seeds": [5]}  # by the Snakefile that imports the workflow
    assert with_types(changed, parsed, entries) == changed | {"tables": typed["tables"]}
    inside = with_types(config, {"ours": parsed}, [f"ours={json.dumps(typed | {'device': 'cpu'})}"], ("ours",))
    assert inside == config | typed
    with pytest.raises(UserError, match=r"--config seeds: line 1: .*more than 50 levels"):
        with_types(config, parsed, ["seeds=" + "[" * 99 + "]" * 99])
