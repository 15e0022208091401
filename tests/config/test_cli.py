"""Flags made from the schema: complete, strict, and read back exactly."""

import argparse
import json
import random
import re
import runpy
import sys
from pathlib import Path

import pytest
from fdistill.config import arguments, cli, load, schema_flags
from fdistill.config.schema import STUDY, section
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import text_mistake
from fdistill.runtime.value_schemas import types, within
from snake import ROOT

SECTIONS = ["training", "text", "offline_sampling", "decoding", "selection", "risk"]
REQUIRED = {
    "training": ["--learning-rate=0.1", "--epochs=1"],
    "text": ["--max-source-tokens=8", "--max-target-tokens=8"],
    "decoding": ["--max-new-tokens=8"],
}


def wide(prog: str) -> argparse.HelpFormatter:
    """One line per flag."""
    return argparse.HelpFormatter(prog, max_help_position=100, width=1000)


def parse(name: str, arguments: list[str], prefix: str = "") -> dict:
    parser = argparse.ArgumentParser(exit_on_error=False)
    schema_flags.add_flags(parser, name, prefix)
    return schema_flags.read_flags(parser.parse_args(arguments), name, prefix)


def random_value(schema: dict, rng: random.Random):
    """A value that the schema allows, edge cases included."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = rng.choice(types(schema))
    if kind == "integer":
        return rng.choice([schema["minimum"], schema["minimum"] + 1, schema["maximum"]])
    if kind == "number":
        low = schema.get("minimum", 1e-300)
        return max(low, rng.choice([1e-300, 1e-05, 0.1, 1 / 3, rng.random() or 1.0, 1.0, schema["maximum"]]))
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "array":
        return rng.sample(schema["items"]["enum"], rng.randint(0, len(schema["items"]["enum"])))
    texts = ["", "none", "--freeze", "-1", "translate English to Romanian: ", "a=b 'c' \"d\" $e\n%s", "ș"]
    # Where null is allowed, the text "none" stands for it.
    texts = [text for text in texts if within(text, schema) and (text != "none" or "null" not in types(schema))]
    return {"null": None, "string": rng.choice(texts or ["x"])}[kind]


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("prefix", ["", "other-"])
def test_round_trip(name, prefix):
    rng = random.Random(0)
    for _ in range(50):
        settings = {key: random_value(child, rng) for key, child in section(name)["properties"].items()}
        assert parse(name, schema_flags.flags(name, settings, prefix), prefix) == settings


@pytest.mark.parametrize("name", SECTIONS)
def test_defaults_are_the_schemas(name):
    settings = parse(name, REQUIRED.get(name, []))
    for key, child in section(name)["properties"].items():
        if key not in section(name).get("required", []):
            assert settings[key] == child["default"], key


def test_negative_numbers_of_any_form():
    for value in (-1.0, -1e-05, -3):
        settings = parse("decoding", REQUIRED["decoding"]) | {"length_penalty": value}
        assert parse("decoding", schema_flags.flags("decoding", settings)) == settings


def test_lists_are_written_as_words():
    settings = parse("training", [*REQUIRED["training"], "--freeze", "embeddings", "encoder"])
    assert settings["freeze"] == ["embeddings", "encoder"]
    assert parse("training", REQUIRED["training"])["freeze"] == []


def test_a_default_list_is_not_shared():
    parse("training", REQUIRED["training"])["freeze"].append("decoder")
    assert parse("training", REQUIRED["training"])["freeze"] == []


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("training", "--batch-size=0", "--batch-size: '0' is not allowed; must be an integer from 1 to 1000000"),
        ("training", "--batch-size=8.0", "--batch-size: '8.0' is not allowed; must be an integer from 1 to 1000000"),
        ("training", "--learning-rate=fast", "--learning-rate: 'fast' is not allowed; must be a number > 0"),
        ("training", "--learning-rate=0", "--learning-rate: '0' is not allowed; must be a number > 0"),
        ("training", "--learning-rate=nan", "'nan' is not allowed; must be a number > 0"),
        ("training", "--learning-rate=inf", "'inf' is not allowed"),
        ("training", "--learning-rate=none", "'none' is not allowed"),
        ("training", "--patience=0", "--patience: '0' is not allowed; must be an integer from 1 to 1000000, or none"),
        ("training", "--optimizer=sgd", "'sgd' is not allowed; must be one of adamw, adam, adafactor"),
        ("training", "--freeze=heads", "'heads' is not allowed; must be one of embeddings, encoder, decoder"),
        ("decoding", "--do-sample=yes", "--do-sample: 'yes' is not allowed; must be true or false"),
        ("decoding", "--top-p=1.5", "--top-p: '1.5' is not allowed; must be a number > 0 and <= 1"),
        ("offline_sampling", "--top-p=0", "--top-p: '0' is not allowed; must be a number > 0 and <= 1, or none"),
        ("text", f"--max-source-tokens={10**400}", "is not allowed; must be an integer from 1 to 1000000"),
        ("text", "--max-source-tokens=1_0", "'1_0' is not allowed; must be an integer from 1 to 1000000"),
        ("text", "--max-source-tokens=" + "9" * 6000, "is not allowed; must be an integer from 1 to 1000000"),
        ("text", f"--source-prefix={'x' * 10_001}", "has 10,001 characters; at most 10,000 are allowed"),
        ("text", "--source-prefix=a\x1b[2J", "'a\\u001b[2J' contains the control character U+001B; remove it"),
        ("training", "--learning-rate=1e308", "must be a number > 0 and <= 1"),
        ("text", "--max-target-tokens=1", "'1' is not allowed; must be an integer from 2 to 1000000"),
    ],
)
def test_what_is_refused(name, argument, message):
    with pytest.raises(argparse.ArgumentError) as error:
        parse(name, [*REQUIRED.get(name, []), argument])
    assert message in str(error.value)


def test_required_flags(capsys):
    with pytest.raises((SystemExit, argparse.ArgumentError)) as error:
        parse("training", ["--epochs=1"])
    assert "--learning-rate" in str(error.value) + capsys.readouterr().err


@pytest.mark.parametrize("name", SECTIONS)
def test_help_says_what_each_flag_is(name):
    parser = argparse.ArgumentParser(formatter_class=wide)
    schema_flags.add_flags(parser, name)
    text = parser.format_help()
    for key, child in section(name)["properties"].items():
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"--{key.replace('_', '-')} ")]
        assert child["description"] in line
        assert "required" in line or "default: " in line
        assert all(value in line for values in child.get("only_for", {}).values() for value in values)


def test_help_of_a_nullable_flag_and_of_a_percent_sign():
    parser = argparse.ArgumentParser(formatter_class=wide)
    group = parser.add_argument_group()
    schema_flags.add_flag(
        group, "--rate", {"description": "In %.", "type": ["number", "null"], "minimum": 0, "default": None}
    )
    assert "In %. (a number >= 0, or none; default: none)" in parser.format_help()


def test_two_sections_with_a_key_in_common():
    parser = argparse.ArgumentParser()
    schema_flags.add_flags(parser, "decoding")
    schema_flags.add_flags(parser, "selection", prefix="selection-")
    arguments = [
        "--max-new-tokens=8",
        "--batch-size=2",
        "--selection-batch-size=3",
        "--selection-max-inputs=none",
    ]
    args = parser.parse_args(arguments)
    assert schema_flags.read_flags(args, "decoding")["batch_size"] == 2
    chosen = schema_flags.read_flags(args, "selection", prefix="selection-")
    assert (chosen["batch_size"], chosen["max_inputs"]) == (3, None)


def test_flags_of_a_script_that_trains():
    parser = argparse.ArgumentParser(exit_on_error=False)
    cli.add_training_flags(parser)
    given = [f"--{name}={name}" for name in ("train", "dev", "model", "history")]
    given += ["--max-source-tokens=9", "--max-target-tokens=9", "--learning-rate=0.1", "--epochs=1", "--seed=3"]
    args = parser.parse_args([*given, "--metric-options", '{"bleu4": {"lowercase": true}}'])
    assert (args.seed, args.device, args.threads, args.train) == (3, "auto", 1, Path("train"))
    assert args.metric_options == {"bleu4": {"lowercase": True}}
    assert schema_flags.read_flags(args, "selection", prefix="selection-")["metric"] == "nll"
    repeated = ('{"bleu4": {}, "bleu4": {"lowercase": true}}', "bleu4")
    for wrong, message in (("{", "not valid JSON"), ("[1]", "must be a JSON mapping"), repeated):
        with pytest.raises(argparse.ArgumentError, match=message):
            parser.parse_args([*given, "--metric-options", wrong])
    with pytest.raises(argparse.ArgumentError, match="'-1' is not allowed; must be an integer from 0 to 4294967295"):
        parser.parse_args([*given, "--seed=-1"])


NLL_TERM = {"sequences": "ground_truth", "loss": "nll"}
MIXED = {"sequences": "student_samples", "loss": "generalised_js"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "terms[0]: 1 is not allowed; must be a mapping (One loss on one kind of sequence.)"),
        ({}, "terms: {} is not allowed; must be a list"),
        ([], "terms: [] is not allowed; must be a list (each a mapping; at least 1; at most 50)"),
        ([{"sequences": "ground_truth"}], "terms[0].loss: missing; set one of nll, energy"),
        ([NLL_TERM | {"wieght": 2}], "terms[0].wieght: unknown key; did you mean 'weight'?"),
        ([NLL_TERM | {"weight": 1e308}], "terms[0].weight: 1e+308 is not allowed; must be a number from 0 to 1000000"),
        (
            [NLL_TERM | {"loss": "attention_mse", "temperature": 2}],
            "terms[0].temperature: 2 is not used with loss 'att",
        ),
        ([NLL_TERM | {"parameters": {"beta": 0.1}}], "terms[0].parameters.beta: 0.1 is not used with loss 'nll'"),
        ([NLL_TERM | {"parameters": {"teacher_weight": 0.1}}], "teacher_weight: 0.1 is not used with loss 'nll'"),
        (
            [MIXED | {"parameters": {"beta": 0.1, "teacher_weight": 0.9}}],
            "terms[0].parameters.teacher_weight: the mixture's weight is given twice: beta, 0.1, is the student's, and "
            "teacher_weight, 0.9, the teacher's (GKD's and TRL's beta); keep one",
        ),
    ],
)
def test_terms_are_checked_as_in_the_table_of_methods(value, message):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        arguments.terms(json.dumps(value))
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '[{"weight": NaN}]', "-Infinity", "9" * 5000])
def test_json_that_cannot_be_read(text):
    for read in (
        arguments.terms,
        arguments.terms_by_method,
        arguments.methods,
        arguments.tasks,
        arguments.model,
        arguments.layers,
        arguments.metric_options,
    ):
        with pytest.raises(argparse.ArgumentTypeError, match="not valid JSON"):
            read(text)


def test_terms_have_their_defaults():
    (term,) = arguments.terms(json.dumps([MIXED | {"parameters": {"teacher_weight": 0.9}}]))
    assert term == MIXED | {"weight": 1.0, "temperature": 1.0, "parameters": {"beta": 0.1}}


def test_sections_and_options_of_metrics_are_checked():
    assert arguments.layers('{"encoder": 3, "decoder": [0]}') == {"encoder": 3, "decoder": [0]}
    for read, value, message in (
        (arguments.layers, '{"encoder": 0}', "encoder: 0 is not allowed; must be an integer from 1 to 1000"),
        (arguments.layers, '{"encoders": 1}', "encoders: unknown key; did you mean 'encoder'?"),
        (arguments.model, '{"family": "bert", "student": {}}', "unknown model family 'bert'"),
        (arguments.model, '{"family": "gpt2", "student": {"encoder": 2, "decoder": 1}}', "model.student.encoder: "),
        (arguments.terms_by_method, '{"js": []}', "js.terms: [] is not allowed; must be a list"),
        (arguments.terms_by_method, '{"js": [{"loss": "jss"}]}', "js.terms[0].loss: "),
        (arguments.methods, '{"kl": 1}', "kl: 1 is not allowed; must be a mapping"),
        (arguments.methods, '{"kl": {"start": "init_student", "terms": []}}', "kl.terms: [] is not allowed"),
        (
            arguments.tasks,
            '{"web": {"text": {"max_source_tokens": 0}}}',
            "web.text.max_source_tokens: 0 is not allowed",
        ),
        (arguments.tasks, '{"web": []}', "web: [] is not allowed; must be a mapping"),
        (arguments.metric_options, '{"bleu4": {"lowercse": true}}', "bleu4.lowercse: unknown option; did you mean"),
        (arguments.metric_options, '{"blue4": {}}', "blue4: unknown metric; did you mean 'bleu4'?"),
        (arguments.metric_options, '{"bleu4": 1}', "must map a metric to its options"),
    ):
        with pytest.raises(argparse.ArgumentTypeError) as error:
            read(value)
        assert message in str(error.value)


def test_a_size_is_written_with_or_without_quotes():
    expected = {"encoder": 12, "decoder": 3}
    assert arguments.layers("12-3") == arguments.layers('"12-3"') == expected
    assert arguments.sizes('{"small": "12-3"}') == {"small": expected}


@pytest.mark.parametrize("text", ["12-", "0-3", "1e-3"])
def test_another_text_is_no_size(text):
    quoted = json.dumps(text)
    for read, value in (
        (arguments.layers, text),
        (arguments.layers, quoted),
        (arguments.sizes, f'{{"small": {quoted}}}'),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is no size; write the layers"):
            read(value)


def test_a_studys_own_tasks_and_methods_are_allowed_without_their_texts():
    study = load({"tasks": ["dialogue", "dart"], "methods": ["kl"], "seeds": [1]}, [], ROOT)
    for read, entries in (
        (arguments.tasks, {name: study.task(name) for name in study.all_tasks}),
        (arguments.methods, {name: study.method(name) for name in study.all_methods}),
    ):
        texts = ("title", "description", "stands_for")
        given = {name: {key: entry[key] for key in entry if key not in texts} for name, entry in entries.items()}
        for name, entry in read(json.dumps(given)).items():
            entry.get("model", {}).pop("student_sizes", None)  # no script is told the sizes of others
            assert given[name].items() <= entry.items() and entry["title"] == name


def test_counts_and_seeds_have_bounds():
    for read, text in (
        (arguments.count, "0"),
        (arguments.count, "-3"),
        (arguments.count, "1e3"),
        (arguments.seed, "-1"),
        (arguments.seed, "1.0"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not allowed; must be an integer from"):
            read(text)
    assert arguments.count("7") == 7 and arguments.seed("0") == 0


def test_no_flag_takes_any_number():
    files = list((ROOT / "workflow").rglob("*.py"))
    assert files and not [file for file in files if re.search(r"type=(int|float)\b", file.read_text())]


def test_a_key_without_a_title():
    assert [arguments.name(text) for text in ("kl", "kl=KL", "kl=a=b")] == [("kl", ""), ("kl", "KL"), ("kl", "a=b")]
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.name("=KL")


def test_what_is_left_out_is_the_default():
    settings = {"per_input": 5, "batch_size": 64}
    assert (
        parse("offline_sampling", schema_flags.flags("offline_sampling", settings))
        == parse("offline_sampling", []) | settings
    )


def test_flags_of_a_key_that_does_not_exist_or_is_missing():
    with pytest.raises(KeyError, match="learning_rate"):
        schema_flags.flags("training", {"epochs": 1})
    with pytest.raises(KeyError, match="per_inputs"):
        schema_flags.flags("offline_sampling", {"per_inputs": 5})


def test_run_turns_user_errors_into_a_message():
    def main():
        raise UserError("config/a.yaml: wrong; mend it")

    with pytest.raises(SystemExit) as error:
        cli.run(main)
    assert error.value.code == "error: config/a.yaml: wrong; mend it"


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("figures", "training --logs seqkd={0} --systems seqkd --title t --output {0}"),
        ("figures", "risk --risks t/seqkd={0} --systems seqkd --title t --output {0}"),
        ("tables", "datasets --manifests t={0} --tasks t --output {0}"),
        ("export", "--model {0} --teacher t --data d --score s --task t --method m --seed 1 --max-source-tokens 8"
         " --max-target-tokens 8 --max-new-tokens 8 --folder {0}"),
        ("bench_growth", '--tasks {{}} --terms [{{"sequences":"ground_truth","loss":"nll"}}]'
         ' --methods {{"m":{{"title":"M","start":"init_student","training":"distill",'
         '"terms":[{{"sequences":"ground_truth","loss":"nll"}}]}}}}'
         " --seed 1 --manifests t={0} --json {0} --table t.md"),
        ("provenance", "--targets {0} --json {0} --table t.md"),
        ("infer", "model --input {0} --output {0}"),
    ],
)  # fmt: skip
def test_no_script_writes_over_what_it_reads(script, arguments, tmp_path, monkeypatch):
    file = tmp_path / "own.html"
    file.write_text("mine")
    path = Path(cli.__file__).parents[2] / "scripts" / f"{script}.py"
    monkeypatch.setattr(sys, "argv", [str(path), *arguments.format(file).split()])
    with pytest.raises(UserError, match="are the same"):
        runpy.run_path(str(path))["main"]()
    assert file.read_text() == "mine"


@pytest.mark.parametrize("folder", ["-x", "a/-b", "/a/-b/c"])
def test_a_folder_of_results_is_no_flag(folder):
    schema = section(STUDY)["properties"]["results"]
    assert text_mistake(folder, schema) and not text_mistake(folder.replace("-", "b-"), schema)
