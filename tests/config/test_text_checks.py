"""Checks of section `text`: a chat template where there can be one, its keys with it alone."""

import pytest
from small_config import CHAT, TASK, WEB, put

INIT = put(CHAT, "model.teacher", {"init": "HuggingFaceTB/SmolLM2-135M-Instruct"})


def of_student(family="gpt2"):
    """A task whose teacher is a checkpoint, and its student from scratch, with a tokenizer of its own."""
    sizes = {
        "gpt2": ("n_layer", "n_positions"),
        "bart": ("encoder_layers", "decoder_layers", "max_position_embeddings"),
    }
    student = {"init": "scratch", "own_tokenizer": True, "family": family, "config": dict.fromkeys(sizes[family], 64)}
    return put(INIT, "model.student", student)


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        (WEB, {"chat_template": True}, "text.chat_template: true: 'bart' reads its source by an encoder"),
        (CHAT, {"chat_template": True}, "text.chat_template: true: a teacher from scratch has no chat template; "),
        (
            of_student(),
            {"chat_template": True},
            "text.chat_template: true: a student from scratch has no chat template; ",
        ),
        (
            of_student(family="bart"),
            {"chat_template": True},
            "text.chat_template: true: 'bart' reads its source by an encoder",
        ),
        (INIT, {"system_message": "Hi."}, "text.system_message: not used without chat_template: true; "),
        (
            INIT,
            {"chat_template": True, "turn_separator": "|", "source_prefix": "Say: "},
            "text.source_prefix: with chat_template and turn_separator it would stand in one turn",
        ),
    ],
)
def test_a_chat_template_where_none_can_be_is_refused(project, task, text, message):
    project.write(TASK, put(task, "text", task["text"] | text))
    (line,) = project.mistakes(methods=["mle"])
    assert line.startswith(f"{TASK}: ") and message in line


def test_a_chat_of_a_checkpoint_passes(project):
    project.write(TASK, put(INIT, "text", INIT["text"] | {"chat_template": True, "system_message": ""}))
    assert project.load().task("web")["text"]["source_suffix"] is None
