"""Mistakes in configuration files: each message has file, key, value and remedy."""

import pytest
import yaml
from fdistill.config.schema import section
from fdistill.runtime.validation import problems
from small_config import CHAT, MAIN, METHODS, OPEN, TABLE, TASK, WEB, Project, put


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


# --- mistakes of form ---


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("training.teacher.learning_rat", 1, "unknown key; did you mean 'learning_rate'?"),
        ("text.zzz", 1, "unknown key; known: max_source_tokens, max_target_tokens, too_long, source_prefix"),
        (
            "training.teacher.batch_size",
            0,
            "0 is not allowed; must be an integer >= 1 (Examples per forward pass.)",
        ),
        ("training.teacher.batch_size", 8.0, "8.0 is not allowed; must be an integer >= 1"),
        ("training.teacher.batch_size", True, "true is not allowed; must be an integer >= 1"),
        ("training.teacher.batch_size", None, "null is not allowed; must be an integer >= 1"),
        ("training.teacher.patience", 0, "0 is not allowed; must be an integer >= 1, or null"),
        ("training.teacher.learning_rate", 0, "0 is not allowed; must be a number > 0"),
        ("training.teacher.learning_rate", float("nan"), "NaN is not allowed; must be a number > 0"),
        ("training.teacher.learning_rate", float("inf"), "Infinity is not allowed; must be a number > 0"),
        ("training.teacher.learning_rate", "1e-4", 'to YAML "1e-4" is text, write 0.0001'),
        ("training.teacher.learning_rate", "1e-5", 'to YAML "1e-5" is text, write 1.0e-05'),
        ("training.teacher.batch_size", "8", 'to YAML "8" is text, write 8'),
        (
            "training.teacher.learning_rate",
            "fast",
            '"fast" is not allowed; must be a number > 0 (Peak learning rate',
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
        ("training.teacher", None, "null is not allowed; must be a mapping (How a model is trained.)"),
        ("training.teacher.epochs", ..., "missing; give a number >= 0 (Passes over the training split"),
        ("training.distill", ..., "missing; give a mapping"),
        ("decoding.do_sample", "yes please", '"yes please" is not allowed; must be true or false'),
        (
            "model.student.encoder",
            0,
            "0 is not allowed; must be an integer >= 1, or a list (each an integer >= 0",
        ),
        (
            "model.student.encoder",
            [],
            "[] is not allowed; must be an integer >= 1, or a list (each an integer >= 0;",
        ),
        ("metrics", [], "[] is not allowed; must be a list (each text; at least 1; no two alike)"),
        ("metrics", ["ter", "ter"], '["ter", "ter"] is not allowed; must be a list'),
        ("metric_options.ter", 3, "3 is not allowed; must be a mapping (Options of one metric.)"),
        ("title", 7, "7 is not allowed; must be text"),
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
            "kl.terms[0].weight: -1 is not allowed; must be a number >= 0 (Its weight.)",
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
        ("kl.terms", [], "kl.terms: [] is not allowed; must be a list (each a mapping; at least 1)"),
        (
            "kl.start",
            "teacher",
            'kl.start: "teacher" is not allowed; must be one of init_student, predistill',
        ),
        ("kl.title", ..., "kl.title: missing; give text (Its row in the tables.)"),
        (
            "predistill.start",
            "predistill",
            "predistill.start: the method cannot start from itself; write start: init_",
        ),
        (
            "predistill",
            ...,
            "seqkd.start: there is no method 'predistill' to start from; add it, or start from init_",
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
    ["teacher", "most_frequent", "copy", "prepare", "init_student", "sample_teacher", "tables", "figures"],
)
def test_names_of_methods_that_results_uses_otherwise(project, name):
    project.write(METHODS, TABLE | {name: TABLE["mle"]})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: {name}: '{name}' is a folder of results already; choose another name")


@pytest.mark.parametrize("name", ["Web-2", "tables"])
def test_names_of_tasks(project, name):
    project.write(f"config/tasks/{name}.yaml", WEB)
    (line,) = project.mistakes()
    assert line.startswith(f"config/tasks/{name}.yaml: '{name}' ")


# --- bad YAML ---


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "line 1: the file is empty; write its keys as 'key: value' lines, or delete it"),
        ("# nothing\n", "line 1: the file is empty"),
        ("- a\n- b\n", "line 1: the file holds a list, not a mapping; write 'key: value' lines"),
        ("title\n", "line 1: the file holds a single value, not a mapping"),
        ("title: a\ntext:\n\tmax: 1\n", "line 3: indented with a tab; YAML is indented with spaces"),
        ("title: a\ntext: [1, 2\nmodel: 3\n", "line 3: not YAML"),
        (
            "title: a: b\n",
            "line 1: not YAML (mapping values are not allowed in this context); check indentation,",
        ),
        ("title: a\n b: 2\n", "line 2: not YAML"),
        ("a: 1\nb: 2\n---\nc: 3\n", "line 3: not YAML"),
        ("a: !!python/name:os.system\n", "line 1: not YAML"),
        (
            "title: a\ntext: 1\ntitle: b\n",
            "line 3: the key 'title' is given twice (first on line 1); keep one",
        ),
        (
            "a: {b: 1,\n c: [{d: 1, d: 2}]}\n",
            "line 2: the key 'd' is given twice (first on line 2); keep one",
        ),
        ("yes: 1\n", "line 1: the key yes is not text; put it in quotes"),
        ("a: {1: 2}\n", "line 1: the key 1 is not text; put it in quotes"),
        ("a: &a\n  b: *a\n", "contains itself, by an alias (*); write it out"),
        ("a: \x07\n", "not YAML: "),
    ],
)
def test_bad_yaml(project, content, text):
    project.write("config/tasks/bad.yaml", content)
    (line,) = project.mistakes()
    assert line.startswith("config/tasks/bad.yaml: ")
    assert text in line


def test_every_duplicate_key_is_listed(project):
    project.write("config/tasks/bad.yaml", "a: 1\na: 2\nb:\n  c: 1\n  c: 2\n")
    assert len(project.mistakes()) == 2


@pytest.mark.parametrize("file", [MAIN, METHODS])
def test_bad_yaml_elsewhere(project, file):
    project.write(file, "a: 1\na: 2\n")
    assert project.mistakes() == [f"{file}: line 2: the key 'a' is given twice (first on line 1); keep one"]


def test_other_unreadable_files(project):
    (project.root / METHODS).unlink()
    (project.root / TASK).write_bytes(b"title: \xff")
    (project.root / "config/tasks/folder.yaml").mkdir()
    lines = project.mistakes()
    assert f"{METHODS}: no such file" in lines
    assert any(line.startswith(f"{TASK}: not UTF-8 text") and "save it as UTF-8" in line for line in lines)
    assert "config/tasks/folder.yaml: cannot be read (Is a directory)" in lines


def test_no_tasks_at_all(project):
    (project.root / TASK).unlink()
    assert project.mistakes() == ["config/tasks: no task here; write one as config/tasks/NAME.yaml"]


# --- cross-checks ---

NUCLEUS = {"mode": "nucleus", "top_p": 0.9}
CTRANSLATE2 = {"engine": "ctranslate2"}
BEAM = {"mode": "beam", "num_beams": 4, "early_stopping": True}


@pytest.mark.parametrize(
    ("task", "key", "value", "text"),
    [
        (WEB, "metrics", ["bleu4", "blue2"], "metrics[1]: unknown metric 'blue2'; did you mean 'bleu2'?"),
        (
            WEB,
            "selection.metric",
            "rogue1",
            "selection.metric: unknown metric 'rogue1'; did you mean 'rouge1'?",
        ),
        (WEB, "metric_options", {"blue2": {}}, "metric_options.blue2: unknown metric; did you mean 'bleu2'?"),
        (
            WEB,
            "metric_options",
            {"bleu4": {"lowercas": 1}},
            "metric_options.bleu4.lowercas: unknown option; did you mean 'lowercase'?",
        ),
        (
            WEB,
            "metric_options",
            {"ter": {"x": 1}},
            "metric_options.ter.x: unknown option; known: lowercase, tokenizer, ",
        ),
        (
            WEB,
            "metric_options",
            {"ter": {"tokenizer": "foo"}},
            'metric_options.ter.tokenizer: "foo" is not allowed; must be one of none, words, treebank',
        ),
        (
            WEB,
            "metric_options",
            {"bleu4": {"max_references": 0}},
            "metric_options.bleu4.max_references: 0 is not allowed; must be an integer >= 1",
        ),
        (
            WEB,
            "metrics",
            ["ter", "bertscore"],
            "metric_options.bertscore.model: missing; metric 'bertscore' cannot be computed without it; "
            "give it (fdistill/evaluation/metrics says what it may be) or leave the metric out",
        ),
        (
            WEB,
            "selection.metric",
            "bertscore",
            "metric_options.bertscore.model: missing; metric 'bertscore' ",
        ),
        (
            WEB | {"metric_options": {"bertscore": {"model": None, "num_layers": 6}}},
            "metrics",
            ["bertscore"],
            "metric_options.bertscore.model: missing; ",
        ),
        (
            WEB,
            "source.kind",
            "chitchatt",
            "source.kind: unknown source 'chitchatt'; did you mean 'chitchat'?",
        ),
        (WEB, "source.train_sise", 3, "source.train_sise: unknown key; did you mean 'train_size'?"),
        (
            WEB,
            "source.train_size",
            "all",
            "source.train_size: \"all\" is not allowed; must be an integer, or null (An option of source 'botocore'.)",
        ),
        (WEB, "source.kinds", ["fields"], "source.kinds: unknown value 'fields'; known: field, operation"),
        (WEB, "model.family", "barth", "model.family: unknown model family 'barth'; did you mean 'bart'?"),
        (
            WEB,
            "model.student.decoder",
            ...,
            "model.student.decoder: missing; give the layers of every stack of 'bart': encoder and decoder",
        ),
        (
            CHAT,
            "model.student.encoder",
            1,
            "model.student.encoder: 'gpt2' has no encoder, only decoder; remove this key",
        ),
        (
            WEB,
            "model.student.decoder",
            3,
            "model.student.decoder: 3 is a student of 3 layers, but the teacher has 2 "
            "(model.teacher.config.decoder_layers); give 1 to 2",
        ),
        (
            CHAT,
            "model.student.decoder",
            5,
            "model.student.decoder: 5 is a student of 5 layers, but the teacher has 4 "
            "(model.teacher.config.n_layer); give 1 to 4",
        ),
        (
            WEB,
            "model.student.decoder",
            [0, 1, 1],
            "model.student.decoder: [0, 1, 1] is a student of 3 layers",
        ),
        (
            WEB,
            "model.student.encoder",
            [0, 4],
            "model.student.encoder: [0, 4]: the teacher has no layer 4; its layers are 0 to 3",
        ),
        (
            WEB,
            "model.teacher.config.encoder_layers",
            ...,
            "model.teacher.config.encoder_layers: missing; a teacher from scratch needs its size: give an integer >= 1",
        ),
        (
            WEB,
            "model.teacher.config.encoder_layers",
            "4",
            'model.teacher.config.encoder_layers: "4" is not allowed; ',
        ),
        (
            WEB,
            "model.teacher.config.max_position_embeddings",
            ...,
            "max_position_embeddings: missing; a teacher from ",
        ),
        (
            WEB,
            "model.teacher.config.vocab_size",
            99,
            "model.teacher.config.vocab_size: the tokenizer decides it; remove it and set model.teacher.vocab_size",
        ),
        (
            WEB,
            "model.teacher.init",
            "org/bart",
            "model.teacher.config: not used with init 'org/bart', which has its own; remove it or use init scratch",
        ),
        (
            WEB,
            "model.teacher",
            {"init": "org/bart", "source_language": "en_XX"},
            "model.teacher.source_language: \"en_XX\" is not used with family 'bart', only with mbart",
        ),
        (
            put(WEB, "model.family", "mbart"),
            "model.teacher.target_language",
            "ro_RO",
            "model.teacher.target_language: not used with init scratch, whose tokenizer has no language codes",
        ),
        (
            WEB,
            "model.teacher.allow_pickle",
            True,
            "model.teacher.allow_pickle: not used with init scratch, which reads no checkpoint; remove it",
        ),
        (
            WEB,
            "model.teacher",
            {"init": "org/bart", "vocab_size": 2000},
            "model.teacher.vocab_size: not used with init ",
        ),
        (
            WEB,
            "text.max_source_tokens",
            65,
            "text.max_source_tokens: 65 tokens do not fit the teacher's 64 positions; "
            "lower it or raise model.teacher.config.max_position_embeddings",
        ),
        (
            WEB,
            "text.max_target_tokens",
            65,
            "text.max_target_tokens: 65 tokens do not fit the teacher's 64 positions",
        ),
        (
            WEB,
            "decoding.max_new_tokens",
            65,
            "decoding.max_new_tokens: 65 tokens do not fit the teacher's 64 positions",
        ),
        (
            CHAT,
            "text.max_target_tokens",
            33,
            "text.max_target_tokens: 33 tokens after 32 of the source (text."
            "max_source_tokens) do not fit the teacher's 64 positions; lower it or raise "
            "model.teacher.config.n_positions",
        ),
        (
            CHAT,
            "training.distill.freeze",
            ["encoder"],
            "training.distill.freeze[0]: 'gpt2' has no part 'encoder'; allowed: embeddings, decoder",
        ),
        (
            WEB,
            "training.distill.freeze",
            ["decoder", "encoder"],
            'training.distill.freeze: ["decoder", "encoder"] leaves nothing to train; leave out encoder or decoder',
        ),
        (
            WEB,
            "decoding.min_new_tokens",
            17,
            "decoding.min_new_tokens: 17 is more than max_new_tokens, 16; lower it",
        ),
        (WEB, "decoding.top_p", 0.9, "decoding.top_p: 0.9 is not used without do_sample: true; remove it"),
        (
            WEB,
            "teacher_samples",
            {"mode": "nucleus"},
            "teacher_samples.top_p: missing; mode 'nucleus' needs it: give a number "
            "> 0 and <= 1, or null (Mass kept, by decreasing probability.)",
        ),
        (
            WEB,
            "teacher_samples",
            {"mode": "top_k"},
            "teacher_samples.top_k: missing; mode 'top_k' needs it: give an integer",
        ),
        (
            WEB,
            "teacher_beam",
            {"mode": "beam"},
            "teacher_beam.num_beams: missing; mode 'beam' needs it: give an integer",
        ),
        (
            WEB,
            "teacher_samples",
            {"mode": "beam_sample"},
            "teacher_samples.num_beams: missing; mode 'beam_sample' needs it",
        ),
        (
            WEB,
            "teacher_samples",
            {"top_p": 0.9},
            "teacher_samples.top_p: 0.9 is not used with mode 'ancestral', only with "
            "nucleus, beam_sample; remove it or change mode",
        ),
        (
            WEB,
            "teacher_samples",
            {"min_new_tokens": 3},
            "teacher_samples.min_new_tokens: 3 is not used with mode 'ancestral'",
        ),
        (
            WEB,
            "teacher_beam",
            {"mode": "beam", "num_beams": 2, "max_new_tokens": 17},
            "teacher_beam.max_new_tokens: teacher_beam asks for sequences of 17 tokens (max_new_tokens), "
            "more than text.max_target_tokens, 16; lower the one or raise the other",
        ),
        (
            WEB,
            "selection_overrides",
            {"predistil": {"num_beams": 2}},
            "selection_overrides.predistil: unknown stage; did you mean 'predistill'?",
        ),
        (
            WEB,
            "selection_overrides",
            {"predistill": {"beams": 2}},
            "selection_overrides.predistill.beams: unknown key; did you mean 'num_beams'?",
        ),
        (
            WEB,
            "selection_overrides",
            {"distill": {"num_beams": 0}},
            "selection_overrides.distill.num_beams: 0 is not allowed; must be an integer >= 1",
        ),
        (
            WEB,
            "selection_overrides",
            {"distill": {"metric": "rogue1"}},
            "selection_overrides.distill.metric: unknown metric 'rogue1'; did you mean 'rouge1'?",
        ),
        (
            WEB,
            "selection_overrides",
            {"distill": {"metric": "bertscore"}},
            "metric_options.bertscore.model: missing; metric 'bertscore' cannot be computed without it",
        ),
        (
            WEB,
            "teacher_samples",
            {"top_k": 3},
            "teacher_samples.top_k: 3 is not used with mode 'ancestral'",
        ),
        (
            WEB,
            "teacher_samples",
            NUCLEUS | {"length_penalty": 1.0},
            "teacher_samples.length_penalty: 1.0 is not used with ",
        ),
        (
            WEB,
            "teacher_samples",
            NUCLEUS | CTRANSLATE2,
            "teacher_samples.mode: only engine transformers samples by nucleus; use it, or mode ancestral or beam",
        ),
        (
            WEB,
            "decoding",
            {"max_new_tokens": 16, "num_beams": 4} | CTRANSLATE2,
            "decoding.early_stopping: engine ctranslate2 ends a beam search as soon as there are as many finished",
        ),
        (
            WEB,
            "teacher_beam",
            BEAM | CTRANSLATE2 | {"no_repeat_ngram_size": 3},
            "teacher_beam.no_repeat_ngram_size: not supported by engine ctranslate2; remove it or use engine ",
        ),
        (
            put(WEB, "model.teacher.shard", True),
            "risk",
            CTRANSLATE2,
            "risk.engine: ctranslate2 needs the teacher's weights whole, and model.teacher.shard parts them",
        ),
    ],
)
def test_cross_checks(project, task, key, value, text):
    project.write(TASK, put(task, key, value))
    (line,) = project.mistakes()
    assert line.startswith(f"{TASK}: ")
    assert text in line


@pytest.mark.parametrize(
    ("task", "key", "value"),
    [
        (WEB, "model.student.decoder", [1, 1]),  # repeated layers are a way to start
        (WEB, "model.student.encoder", 4),
        (CHAT, "text.max_target_tokens", 32),
        (WEB, "model.teacher", {"init": "org/bart-large"}),  # its depth is not known here
        (
            put(WEB, "model.family", "mbart"),
            "model.teacher",
            {"init": "org/mbart", "source_language": "en_XX", "target_language": "ro_RO"},
        ),
        (WEB, "training.distill.freeze", ["embeddings", "encoder"]),
        (WEB, "selection.metric", "rougeL"),
        (WEB, "teacher_samples", NUCLEUS),
        (WEB, "teacher_samples", {"mode": "beam_sample", "num_beams": 6, "top_k": 30, "length_penalty": 1.0}),
        (WEB, "metric_options", {"bleu4": {"lowercase": True}}),
        (WEB | {"metric_options": {"bertscore": {"model": "org/bert"}}}, "metrics", ["bertscore"]),
        (WEB, "metric_options", {"bertscore": {"num_layers": 6}}),  # not among the metrics
        (WEB, "decoding", {"max_new_tokens": 16, "do_sample": True, "top_p": 0.9}),
        (WEB, "decoding", {"max_new_tokens": 16, "num_beams": 4, "early_stopping": True} | CTRANSLATE2),
        (WEB, "teacher_samples", CTRANSLATE2),
        (WEB, "teacher_beam", BEAM | CTRANSLATE2),
        (
            WEB,
            "source",
            {"kind": "botocore", "train_size": None, "kinds": ["field"], "target_words": [4, 12]},
        ),
    ],
)
def test_what_the_cross_checks_allow(project, task, key, value):
    project.write(TASK, put(task, key, value))
    project.load()


def test_the_depth_of_the_teacher_before_init_is_overridden_is_not_the_checkpoints(project):
    project.write(TASK, put(WEB, "model.teacher", {"init": "org/bart-large"}))
    project.write(OPEN, {"task_overrides": {"web": {"model": {"student": {"encoder": 12}}}}})
    assert project.load().task("web")["model"]["student"]["encoder"] == 12


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("kl", "it learns from teacher_samples"),
        ("seqkd", "it learns from teacher_beam"),
        ("predistill", "its loss 'kl' reads the teacher's distributions"),
        ("mle", "its student starts as a copy of the teacher's layers (init_student)"),
    ],
)
def test_a_task_without_a_teacher(project, method, reason):
    project.write(TASK, put(WEB, "model.teacher", None))
    assert project.mistakes(methods=[method]) == [
        f"{TASK}: model.teacher: null, but method '{method}' needs a teacher: {reason}; give one ({{init: "
        f"scratch}}, "
        f"or a folder or hub id), or take '{method}' out of methods"
    ]


def test_a_teacher_taken_away_by_the_study(project):
    project.write(OPEN, {"task_overrides": {"web": {"model": {"teacher": None}}}, "methods": ["kl"]})
    (line,) = project.mistakes()
    assert line.startswith(f"{OPEN}: task_overrides.web.model.teacher: null, but method 'kl' needs a teacher")
