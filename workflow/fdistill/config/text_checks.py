"""Checks of a task's section `text`: what stands around a source must fit the model and the other keys.

See `fdistill.config.crosschecks`, which runs them.
"""

from collections.abc import Iterator

from fdistill.config.model_checks import SCRATCH, Task, with_tokenizers
from fdistill.models.families import FAMILIES
from fdistill.runtime.validation import Problem

CHAT, SYSTEM = ("text", "chat_template"), ("text", "system_message")


def check_chat(task: Task) -> Iterator[Problem]:
    """Check that a chat template can be there, and that its keys are used with it alone."""
    text = task["text"]
    if not text["chat_template"]:
        if text["system_message"] is not None:
            yield Problem(SYSTEM, "not used without chat_template: true; remove it, or set that")
        return
    for owner, start, family in with_tokenizers(task):
        if FAMILIES[family].is_encoder_decoder:
            yield Problem(CHAT, f"true: '{family}' reads its source by an encoder, not as a chat; remove it")
        elif start["init"] == SCRATCH:
            remedy = f"remove it, or set model.{owner}.init to a checkpoint"
            yield Problem(CHAT, f"true: a {owner} from scratch has no chat template; {remedy}")
    for key in ("source_prefix", "source_suffix"):
        if text[key] and text["turn_separator"] is not None:
            yield Problem(
                ("text", key),
                "with chat_template and turn_separator it would stand in one turn of a dialogue alone; "
                "remove it, and write what holds for all into text.system_message",
            )
