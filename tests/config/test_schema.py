"""The configuration's schema against itself and against the code that reads the settings."""

import itertools
from dataclasses import MISSING, fields, is_dataclass

import pytest
import yaml
from fdistill.config.model_checks import NLL
from fdistill.config.schema import SCHEMA_FILE, fill_defaults, section
from fdistill.data.limits import Limits
from fdistill.data.sources import SOURCES, source_module
from fdistill.data.sources.options import options_schema
from fdistill.evaluation.metrics import METRICS
from fdistill.losses import objectives, schedule, sequences, step_losses
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import condition_problems, problems
from fdistill.runtime.value_schemas import allowed, text_mistake, types
from fdistill.sampling.cache_kinds import NONE, STATES, TOPK
from fdistill.sampling.modes import MODES, mode_settings
from fdistill.training import optimizer_steps, selection
from fdistill.training.settings import TrainingSettings
from jsonschema import Draft202012Validator
from small_config import WEB, put

# Which stacks there are is the family's to say (student_checks.check_stacks), so that no default suits all; stages
# `predistill` and `finetune` are ones that a task may not have; `teacher_weight` is another name for `beta`, which has
# the default. Only a student that copies no layers has `init`, with what a checkpoint needs (whole_student_checks), and
# a teacher that is files of outputs has no training (outside_checks).
NO_DEFAULT = {
    "task.training.predistill",
    "task.training.finetune",
    "task.model.student.encoder",
    "task.model.student.decoder",
    "task.model.student_sizes.encoder",
    "task.model.student_sizes.decoder",
    "task.model.student.init",
    "task.model.student_sizes.init",
    *(
        f"task.model.{owner}.{key}"
        for owner in ("student", "student_sizes")
        for key in ("source_language", "target_language", "allow_pickle", "family", "own_tokenizer")
    ),
    "task.training.teacher",
    "methods.terms.parameters.teacher_weight",
}
# Keys of a size, of a stack that is a mapping, of files of outputs, of a student that copies no layers: a usual task
# has none of them.
OTHERS_KEYS = (
    "task.model.student_sizes.",
    *(f"task.model.student.{key}" for key in ("encoder.", "decoder.", "init", "vocab_size", "config", "allow_pickle")),
    *(f"task.model.student.{key}" for key in ("source_language", "target_language", "family", "own_tokenizer")),
    "task.model.teacher.outputs.",
)
SECTIONS = ["study", *yaml.safe_load(SCHEMA_FILE.read_text())["$defs"]]


def described_properties(schema: dict, path: str):
    """Every property at every level, as (path, schema, required)."""
    for key, child in schema.get("properties", {}).items():
        yield f"{path}.{key}", child, key in schema.get("required", [])
        yield from described_properties(child, f"{path}.{key}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from described_properties(schema[inner], path)


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(yaml.safe_load(SCHEMA_FILE.read_text()))


@pytest.mark.parametrize("name", ["study", "task", "methods", "claims"])
def test_every_key_has_description_type_and_default(name):
    found = list(described_properties(section(name), name))
    assert len(found) > 5
    for path, schema, required in found:
        assert schema.get("description", "").strip(), path
        assert "type" in schema or "enum" in schema or "oneOf" in schema, path
        assert allowed(schema) != "anything", path
        # in a task's overrides nothing is required, and what is left out is the task's own
        if not required and path not in NO_DEFAULT and not path.startswith("study.task_overrides."):
            assert "default" in schema, path


@pytest.mark.parametrize("name", ["study", "task", "methods", "claims"])
def test_every_default_is_allowed(name):
    for path, schema, _ in described_properties(section(name), name):
        if "default" in schema:
            default = fill_defaults(schema["default"], schema)
            assert not problems({"it": default}, {"type": "object", "properties": {"it": schema}}), path


def values(schema: dict, path: str):
    """Every part of a schema that has a type, as (path, schema)."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from values(item, f"{path}[{index}]")
    elif isinstance(schema, dict):
        if isinstance(schema.get("type"), str | list) and "enum" not in schema:
            yield path, schema
        for key, child in schema.items():
            yield from values(child, f"{path}.{key}")


@pytest.mark.parametrize("name", ["study", "task", "methods", "claims"])
def test_every_number_has_both_bounds_and_every_text_a_length_and_a_pattern(name):
    for path, schema in values(section(name), name):
        if {"integer", "number"} & set(types(schema)):
            assert {"minimum", "exclusiveMinimum"} & schema.keys(), path
            assert {"maximum", "exclusiveMaximum"} & schema.keys(), path
        if "string" in types(schema):
            assert schema["maxLength"] <= 10_000, path
            for text in ("\0", "a\x1b", "a\u2028b", "\ud800", "x" * 10_001):
                assert text_mistake(text, schema), (path, text)
            if path != "study.properties.results":  # the name of a folder
                assert not text_mistake("șață\tb\n", schema), path


def test_names_that_people_read_are_not_empty():
    for schema in (section("task"), section("method")):
        for key in {"title", "description"} & schema["properties"].keys():
            assert all(text_mistake(text, schema["properties"][key]) for text in ("", " ", "\n\t")), key


def test_unknown_keys_are_refused_wherever_keys_are_known():
    for name in SECTIONS:
        for path, schema, _ in [(name, section(name), True), *described_properties(section(name), name)]:
            if "properties" in schema and path.split(".")[-1] != "source":  # whose module knows its keys
                assert schema["additionalProperties"] is False, path


def test_a_filled_task_is_complete_and_stays_as_it_is():
    task = put(WEB | {"other_teacher": {}}, "training.finetune", {"learning_rate": 0.001, "epochs": 1})
    task = fill_defaults(put(task, "training.teacher.lora", {}), section("task"))
    assert fill_defaults(task, section("task")) == task
    for path, _, _ in described_properties(section("task"), "task"):
        if path.startswith(OTHERS_KEYS):
            continue
        inner = task
        for key in path.split(".")[1:]:
            inner = inner[0] if isinstance(inner, list) else inner
            assert key in inner, path
            inner = inner[key]


def names(dataclass: type) -> list[str]:
    return [field.name for field in fields(dataclass)]


def test_training_settings():
    assert names(TrainingSettings) == list(section("training")["properties"])
    assert list(optimizer_steps.OPTIMIZERS) == section("training")["properties"]["optimizer"]["enum"]


def test_limits():
    text = section("text")
    assert names(Limits) == list(text["properties"])
    for field in fields(Limits):
        if field.default is not MISSING:
            assert field.default == text["properties"][field.name]["default"]


def test_selection():
    assert names(selection.Selection) == list(section("selection")["properties"])
    assert section("selection")["properties"]["metric"]["default"] == selection.NLL


def test_losses_and_their_parameters():
    term = section("term")["properties"]
    assert set(term["loss"]["enum"]) == set(step_losses.LOSSES)
    parameters = dict(term["parameters"]["properties"])
    assert parameters.pop("teacher_weight")["only_for"] == parameters["beta"]["only_for"]
    for name, loss in step_losses.LOSSES.items():
        taken = {k: p["default"] for k, p in parameters.items() if name in p["only_for"]["loss"]}
        assert taken == loss.parameters, name
        filled = fill_defaults({"sequences": "ground_truth", "loss": name}, section("term"))
        assert filled["parameters"] == loss.parameters
        assert loss.needs_teacher == (name != NLL)
    assert {name for p in parameters.values() for name in p["only_for"]["loss"]} <= set(step_losses.LOSSES)


def test_terms():
    term = section("term")["properties"]
    assert names(objectives.Term) == list(term)
    assert set(term["sequences"]["enum"]) == set(sequences.SEQUENCES)
    assert all(kind.startswith("teacher_") for kind in sequences.TEACHER_SEQUENCES)
    for field in fields(objectives.Term):
        if field.default is not MISSING:
            assert field.default == term[field.name]["default"]


def test_objectives_and_schedules():
    method, settings = section("method")["properties"], section("schedule")["properties"]
    assert section("task")["properties"]["teacher_cache"]["enum"] == [NONE, STATES, TOPK]
    assert method["reduction"]["enum"] == list(objectives.REDUCTIONS)
    assert names(schedule.Schedule) == list(settings)
    assert (settings["draw"]["enum"], settings["course"]["enum"]) == (list(schedule.DRAWS), list(schedule.COURSES))
    for kind, described in ((objectives.Objective, method), (schedule.Schedule, settings)):
        for field in fields(kind):
            if field.default is not MISSING:
                assert field.default == described[field.name]["default"]


def test_sampling_modes():
    sampling = section("offline_sampling")["properties"]
    assert set(sampling["mode"]["enum"]) == set(MODES)
    for mode, settings in MODES.items():
        needed = {key for key, child in sampling.items() if mode in child.get("needed_for", {}).get("mode", [])}
        assert needed == {key for key, value in settings.items() if value is None}, mode
        allowed_here = {key for key, child in sampling.items() if mode in child.get("only_for", {}).get("mode", [])}
        assert needed <= allowed_here
        # what the schema lets through, the library takes
        mode_settings(mode, dict.fromkeys(needed, 1))


def test_every_mode_with_every_option_is_decided_as_generation_does():
    values = {"top_k": 3, "top_p": 0.5, "num_beams": 2, "length_penalty": 1.0}
    for mode, size in itertools.product(MODES, range(3)):
        for given in itertools.combinations(values, size):
            options = {key: values[key] for key in given}
            settings = fill_defaults({"mode": mode} | options, section("offline_sampling"))
            missing = any("missing" in p.text for p in condition_problems(settings, section("offline_sampling")))
            try:
                mode_settings(mode, options)
                assert not missing
            except UserError:
                assert missing


def test_options_that_a_metric_requires_are_options_it_has():
    required = {name: metric.required for name, metric in METRICS.items() if metric.required}
    assert required == {"bertscore": ("model",), "moverscore": ("model",)}
    assert all(set(options) <= set(METRICS[name].options) for name, options in required.items())


@pytest.mark.parametrize("kind", SOURCES)
def test_options_of_sources(kind):
    options = source_module(kind).Options
    assert is_dataclass(options)
    schema = options_schema(kind, options)
    assert set(schema["properties"]) == {"kind", *names(options)}
    for name in names(options):
        assert allowed(schema["properties"][name]) != "anything", name
