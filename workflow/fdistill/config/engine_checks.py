"""Checks of sampling and decoding: a search has as many sequences as are asked for, the engine supports the settings.

Numbers of tokens are also compared with the vocabulary, where it is known.
"""

from collections.abc import Iterator
from typing import Any

from fdistill.config.model_checks import SCRATCH, Task, first_model
from fdistill.losses.sequences import OTHER_TEACHER_BEAM, STORED_SEQUENCES, STUDENT_SAMPLES, TEACHER_SEQUENCES
from fdistill.runtime.validation import Problem
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS, refusals
from fdistill.sampling.modes import search_mistakes


def check_searches(task: Task) -> Iterator[Problem]:
    """Check that each section's search has as many sequences per input as the section asks for."""
    for name in STORED_SEQUENCES:
        settings = task[name]
        for key, text in search_mistakes(settings["mode"], settings, settings["per_input"]):
            yield Problem((name, key), text)


def check_engines(task: Task) -> Iterator[Problem]:
    """Check that each section's engine supports the section's settings."""
    teacher = task["model"]["teacher"]
    for name in (*STORED_SEQUENCES, "decoding", "risk"):
        settings = task[name]
        if settings["engine"] != CTRANSLATE2:
            continue
        for key, reason in refusals(settings):
            yield Problem((name, key), reason)
        if teacher is not None and teacher["shard"] and name != OTHER_TEACHER_BEAM:
            reason = f"{CTRANSLATE2} cannot run a teacher that is sharded over GPUs (model.teacher.shard)"
            yield Problem((name, "engine"), f"{reason}; use engine {TRANSFORMERS}")


def check_vocabulary(task: Task, methods: dict[str, dict[str, Any]]) -> Iterator[Problem]:
    """Check that beams and likeliest tokens are no more than the tokens of a model from scratch.

    The vocabulary of a checkpoint is not known here: jobs check it when they begin.
    """
    owner, start = first_model(task)
    if start is None or start["init"] != SCRATCH:
        return
    tokens, place = start["vocab_size"], f"model.{owner}.vocab_size"
    sections = [((name,), task[name]) for name in (*TEACHER_SEQUENCES, "decoding", "selection")]
    sections += [(("selection_overrides", stage), changes) for stage, changes in task["selection_overrides"].items()]
    sections.append(((), task))
    for path, settings in sections:
        for key in ("num_beams", "agreement_top_k", "teacher_cache_tokens"):
            value = settings.get(key)
            if isinstance(value, int) and value > tokens:
                text = f"{value} is more than the {tokens} tokens of the vocabulary ({place}); lower it"
                yield Problem((*path, key), text)
    for name, method in methods.items():
        if (beams := method[STUDENT_SAMPLES]["num_beams"] or 0) > tokens:
            text = f"{tokens} tokens, but method '{name}' searches with {beams} beams (its {STUDENT_SAMPLES}.num_beams)"
            yield Problem(("model", owner, "vocab_size"), f"{text}; lower that, or raise this")
