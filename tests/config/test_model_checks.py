"""Checks of a task's models and lengths: each message has file, key, value and remedy."""

import pytest
from small_config import CHAT, METHODS, OPEN, TABLE, TASK, WEB, put


@pytest.mark.parametrize(
    ("task", "key", "value", "text"),
    [
        (WEB, "model.family", "barth", "model.family: unknown model family 'barth'; did you mean 'bart'?"),
        (
            WEB,
            "model.student.decoder",
            ...,
            "model.student.decoder: missing; set the layers of every stack of 'bart': encoder and decoder",
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
            "(model.teacher.config.decoder_layers); set 1 to 2",
        ),
        (
            CHAT,
            "model.student.decoder",
            5,
            "model.student.decoder: 5 is a student of 5 layers, but the teacher has 4 "
            "(model.teacher.config.n_layer); set 1 to 4",
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
            "model.teacher.config.encoder_layers: missing; a teacher from scratch needs its size: set an integer >= 1",
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
            " is not used with init 'org/bart', only with scratch; remove it or change init",
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
            "model.teacher",
            {"init": "~nosuchuser/bart"},
            "model.teacher.init: ~nosuchuser/bart: there is no such user on this machine",
        ),
        (
            WEB,
            "model.teacher",
            {"init": "https://example.org/bart"},
            'model.teacher.init: "https://example.org/bart" is an address; give a folder on this machine, or a hub id',
        ),
        (
            WEB,
            "metric_options",
            {"moverscore": {"model": "/models/{x}"}},
            'metric_options.moverscore.model: "/models/{x}" has a brace, a wildcard to Snakemake; rename the folder',
        ),
        (
            WEB,
            "model.teacher.pretrained",
            "a/b",
            "model.teacher.pretrained: not used with init scratch, which starts from no checkpoint; remove it",
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
            "model.teacher.vocab_size: 2000 is not used with init 'org/bart', only with scratch",
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
            "training.teacher.lora",
            {"rank": 8},
            "training.teacher.lora: LoRA leaves most weights as they are, and those of init scratch are random; "
            "remove it, or set model.teacher.init to a checkpoint",
        ),
        (
            put(WEB, "model.teacher", {"init": "org/bart", "shard": True}),
            "training.teacher.lora",
            {},
            "training.teacher.lora: a sharded teacher cannot be trained by LoRA, whose changes are merged on one GPU; "
            "remove it, or model.teacher.shard",
        ),
        (
            put(WEB, "model.teacher", {"init": "org/bart"}),
            "training.teacher.lora",
            {"rank": 0},
            "training.teacher.lora.rank: 0 is not allowed",
        ),
        (WEB, "training.distill.lora", {}, "training.distill.lora: unknown key"),
        (
            WEB,
            "model.teacher.adapter",
            "org/lora",
            "model.teacher.adapter: not used with init scratch, which starts from no checkpoint; remove it",
        ),
        (
            WEB,
            "model.teacher",
            {"init": "org/bart", "adapter": "~nosuchuser/lora"},
            "model.teacher.adapter: ~nosuchuser/lora: there is no such user on this machine",
        ),
    ],
)
def test_mistakes_of_models(project, task, key, value, text):
    project.refuses(put(task, key, value), text)


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
        (put(WEB, "model.teacher", {"init": "org/bart", "adapter": "org/lora"}), "training.teacher.lora", {}),
    ],
)
def test_what_is_allowed_of_models(project, task, key, value):
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
        f"{TASK}: model.teacher: null, but method '{method}' needs a teacher: {reason}; set one ({{init: "
        f"scratch}}, "
        f"or a folder or hub id), or remove '{method}' from methods"
    ]


def test_a_teacher_taken_away_by_the_study(project):
    project.write(OPEN, {"task_overrides": {"web": {"model": {"teacher": None}}}, "methods": ["kl"]})
    (line,) = project.mistakes()
    assert line.startswith(f"{OPEN}: task_overrides.web.model.teacher: null, but method 'kl' needs a teacher")


@pytest.mark.parametrize(
    "key", ["model.teacher.init", "source.path", "description", "metric_options.moverscore.model", "text.source_prefix"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(project, key):
    """Before a command line has it, which Snakemake would keep in its log."""
    project.write(TASK, put(WEB, key, "see https://me:hunter2@example.org/bart"))
    lines = project.mistakes()
    assert any(line.startswith(f"{TASK}: {key}: ") and "a password or a user's name" in line for line in lines)
    assert not any("hunter2" in line for line in lines)


def test_a_password_in_the_study_or_the_methods(project):
    project.write(METHODS, put(TABLE, "kl.title", "https://me:hunter2@example.org"))
    lines = project.mistakes(cache="https://me:hunter2@example.org/cache")
    assert {"cache", "kl.title"} <= {line.split(": ")[1] for line in lines}
    assert "hunter2" not in "".join(lines)
