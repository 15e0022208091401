"""Checks of section `text`: a chat template where there can be one, its keys with it alone."""

import pytest
from small_config import CHAT, TASK, WEB, put

INIT = put(CHAT, "model.teacher", {"init": "HuggingFaceTB/SmolLM2-135M-Instruct"})


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        (WEB, {"chat_template": True}, "text.chat_template: true: 'bart' reads its source by an encoder"),
        (CHAT, {"chat_template": True}, "text.chat_template: true: a teacher from scratch has no chat template; "),
        (INIT, {"system_message": "Hi."}, "text.system_message: not used without chat_template: true; "),
        (
            INIT,
            {"chat_template": True, "turn_separator": "|", "source_prefix": "Say: "},
            "text.source_prefix: with chat_template and turn_separator it would stand in one turn",
        ),
    ],
)
def test_a_chat_template_where_none_can_be_is_refused(project, task, text, message):
    project.refuses(put(task, "text", task["text"] | text), message)


def test_a_chat_of_a_checkpoint_passes(project):
    project.write(TASK, put(INIT, "text", INIT["text"] | {"chat_template": True, "system_message": ""}))
    assert project.load().task("web")["text"]["source_suffix"] is None
