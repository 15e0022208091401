"""Mistakes of form in a task's file and in the table of methods: each message has file, key, value and remedy."""

import pytest
import yaml
from fdistill.config.schema import section
from fdistill.runtime.validation import problems
from small_config import METHODS, TABLE, TASK, WEB, put

# --- a task ---


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("training.teacher.learning_rat", 1, "unknown key; did you mean 'learning_rate'?"),
        (
            "text.zzz",
            1,
            "unknown key; known: max_source_tokens, max_target_tokens, too_long, source_prefix, source_suffix",
        ),
        (
            "training.teacher.batch_size",
            0,
            "0 is not allowed; must be an integer from 1 to 1000000 (Examples per micro-batch; an optimiser step has "
            "batch_size × accumulation examples.)",
        ),
        ("training.teacher.batch_size", 8.0, "8.0 is not allowed; must be an integer from 1 to 1000000"),
        ("training.teacher.batch_size", True, "true is not allowed; must be an integer from 1 to 1000000"),
        ("training.teacher.batch_size", None, "null is not allowed; must be an integer from 1 to 1000000"),
        ("training.teacher.patience", 0, "0 is not allowed; must be an integer from 1 to 1000000, or null"),
        ("training.teacher.learning_rate", 0, "0 is not allowed; must be a number > 0"),
        ("training.teacher.learning_rate", float("nan"), "NaN is not allowed; must be a number > 0"),
        ("training.teacher.learning_rate", float("inf"), "Infinity is not allowed; must be a number > 0"),
        ("training.teacher.learning_rate", "1e-4", 'to YAML "1e-4" is text, write 0.0001'),
        ("training.teacher.learning_rate", "1e-5", 'to YAML "1e-5" is text, write 1.0e-05'),
        ("training.teacher.batch_size", "8", 'to YAML "8" is text, write 8'),
        (
            "training.teacher.learning_rate",
            "fast",
            '"fast" is not allowed; must be a number > 0 and <= 1 (Peak learning rate',
        ),
        ("training.teacher.optimizer", "sgd", '"sgd" is not allowed; must be one of adamw, adam, adafactor'),
        (
            "training.teacher.freeze",
            ["embeddings", "heads"],
            '"heads" is not allowed; must be one of embeddings,',
        ),
        (
            "training.teacher.freeze",
            "encoder",
            '"encoder" is not allowed; must be a list (each one of embeddings,',
        ),
        ("training.teacher", None, "null is not allowed; must be a mapping (Settings of the teacher"),
        ("training.teacher.epochs", ..., "missing; set a number from 0 to 100000 (Passes over the training examples"),
        ("training.distill", ..., "missing; set a mapping"),
        ("decoding.do_sample", "yes please", '"yes please" is not allowed; must be true or false'),
        (
            "model.student.encoder",
            0,
            "0 is not allowed; must be an integer from 1 to 1000, or a list (each an integer from 0 to 999",
        ),
        (
            "model.student.encoder",
            [],
            "[] is not allowed; must be an integer from 1 to 1000, or a list (each an integer from 0 to 999;",
        ),
        ("metrics", [], "[] is not allowed; must be a list (each text; at least 1; no duplicates)"),
        ("metrics", ["ter", "ter"], '["ter", "ter"] is not allowed; must be a list'),
        ("metric_options.ter", 3, "3 is not allowed; must be a mapping (Options of one metric.)"),
        (
            "human.systems",
            ["seqkd"],
            '["seqkd"] is not allowed; must be a list (each text; at least 2; at most 26; no dupl',
        ),
        ("human.scale", 10, "10 is not allowed; must be an integer from 2 to 9"),
        ("title", 7, "7 is not allowed; must be text"),
        ("title", "", '"" is empty; write some text (Name of the task in tables and figures.)'),
        ("description", " \n", "is empty; write some text (One line about the task"),
        ("title", "a\0b", '"a\\u0000b" contains the control character U+0000; remove it'),
        ("title", "a\u2028b", "contains the control character U+2028; remove it"),
        ("description", "x" * 140_000, "has 140,000 characters; at most 1,000 are allowed"),
        ("text.source_prefix", "x" * 10_001, "has 10,001 characters; at most 10,000 are allowed"),
        ("training.teacher.epochs", 10**30, "must be a number from 0 to 100000"),
        ("training.teacher.learning_rate", 1e308, "must be a number > 0 and <= 1"),
        ("training.teacher.batch_size", 10**400, "must be an integer from 1 to 1000000"),
    ],
)
def test_mistakes_of_form_in_a_task(project, key, value, text):
    project.write(TASK, put(WEB, key, value))
    (line,) = project.mistakes()
    shown = "training.teacher.freeze[1]" if value == ["embeddings", "heads"] else key
    assert line.startswith(f"{TASK}: {shown}: ")
    assert text in line


def test_what_the_message_tells_to_write_is_read_as_a_number():
    for text in ("1e-4", "1e-5", "1e22", "-2E3", "8", "8.5", ".5"):
        (found,) = problems({"learning_rate": text, "epochs": 1}, section("training"))
        written = found.text.rpartition("write ")[2]
        assert yaml.safe_load(written) == float(text)


@pytest.mark.parametrize("name", ["Web-2", "tables", "pretrained"])
def test_names_of_tasks(project, name):
    project.write(f"config/tasks/{name}.yaml", WEB)
    (line,) = project.mistakes()
    assert line.startswith(f"config/tasks/{name}.yaml: '{name}' ")


def test_what_a_human_evaluation_asks(project):
    """Systems that a task names must exist; those of the default, the paper's, need not."""
    aspect = {"title": "Fluency", "better": "higher", "question": "Is it?", "lowest": "no", "highest": "yes"}
    human = {"systems": ["mle", "copy", "teacher", "klx"], "aspects": [aspect, aspect | {"lowest": "never"}]}
    project.write(TASK, WEB | {"human": human})
    assert project.mistakes() == [
        f"{TASK}: human.aspects[1].title: 'Fluency' is the title of another aspect too; change one of them",
        f"{TASK}: human.systems[3]: unknown system 'klx'; did you mean 'kl'?",
    ]


# --- the table of methods ---


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (
            "kl.terms.0.loss",
            "kll",
            'kl.terms[0].loss: "kll" is not allowed; must be one of nll, energy, kl_p_mixture',
        ),
        (
            "kl.terms.0.sequences",
            "samples",
            'kl.terms[0].sequences: "samples" is not allowed; must be one of ground_',
        ),
        (
            "kl.terms.0.weight",
            -1,
            "kl.terms[0].weight: -1 is not allowed; must be a number from 0 to 1000000 (Weight of the term in the ",
        ),
        (
            "kl.terms.0.tau",
            2,
            "kl.terms[0].tau: unknown key; known: sequences, loss, weight, temperature, parameters",
        ),
        (
            "kl.terms.0.parameters",
            {"betta": 1},
            "kl.terms[0].parameters.betta: unknown key; did you mean 'beta'?",
        ),
        (
            "kl.terms.0.parameters",
            {"beta": 0.1},
            "kl.terms[0].parameters.beta: 0.1 is not used with loss 'kl', only with "
            "kl_p_mixture, kl_q_mixture, generalised_js; remove it or change loss",
        ),
        ("kl.terms", [], "kl.terms: [] is not allowed; must be a list (each a mapping; at least 1; at most 50)"),
        (
            "kl.start",
            "teacher",
            "kl.start: there is no method 'teacher' to start from; known: init_student, mle, predistill, seqkd, kl",
        ),
        ("kl.title", ..., "kl.title: missing; set text (Name of the method in tables and figures.)"),
        (
            "predistill.start",
            "predistill",
            "predistill.start: the method cannot start from itself; write start: init_",
        ),
        (
            "predistill",
            ...,
            "seqkd.start: there is no method 'predistill' to start from; known: init_student, mle, seqkd, kl",
        ),
        (
            "My-KL",
            TABLE["mle"],
            "My-KL: 'My-KL' becomes a folder's name; use lower-case letters, digits and _ only",
        ),
    ],
)
def test_mistakes_in_the_table_of_methods(project, key, value, text):
    project.write(METHODS, put(TABLE, key, value))
    assert project.mistakes(methods=["mle"])[0].startswith(f"{METHODS}: {text}")


@pytest.mark.parametrize(
    "name",
    ["teacher", "most_frequent", "copy", "prepare", "init_student", "sample_teacher", "human", "tables", "figures"],
)
def test_names_of_methods_that_results_uses_otherwise(project, name):
    project.write(METHODS, TABLE | {name: TABLE["mle"]})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: {name}: '{name}' already means something else there; choose another name")
