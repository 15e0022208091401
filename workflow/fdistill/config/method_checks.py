"""Checks of a task with the methods that it is used with.

See `fdistill.config.crosschecks`, which runs them.
"""

from collections.abc import Iterable, Iterator

from fdistill.config.method_starts import INIT_STUDENT, with_starts
from fdistill.config.method_table import Method, Methods, stored_kinds
from fdistill.config.model_checks import NLL, SCRATCH, Task, outputs_of, shares_tokenizer, with_tokenizers
from fdistill.config.term_checks import not_stored
from fdistill.config.unlabelled import has_unlabelled, learns_from_unlabelled
from fdistill.losses.sequences import (
    OTHER_TEACHER_BEAM,
    REPLAYED_SAMPLES,
    STUDENT_SAMPLES,
    TEACHER_SAMPLES,
    TEACHER_SEQUENCES,
)
from fdistill.models.families import FAMILIES
from fdistill.runtime.validation import KeyPath, Problem, show
from fdistill.sampling.cache_kinds import NONE
from fdistill.sampling.modes import limiting_length

PREDISTILL, FINETUNE = "predistill", "finetune"  # the training stages that not every task has
DISTILL = "distill"  # the training stage for whose examples the teacher's sequences are sampled


def check_no_teacher(task: Task, methods: Methods) -> Iterator[Problem]:
    """Yield the methods that a task without a teacher cannot use, each with what it needs the teacher for."""
    if task.get("model", {}).get("teacher", {}) is not None:
        return
    for name, method in methods.items():
        yield Problem(
            ("model", "teacher"),
            f"null, but method '{name}' needs a teacher: {_use_of_teacher(method)}; "
            f"set one ({{init: {SCRATCH}}}, or a folder or hub id), or remove '{name}' from methods",
        )


def check_stored(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that a method trains on the inputs for which the teacher's sequences are sampled: those of `distill`."""
    for name, method in methods.items():
        kinds, stage = stored_kinds(method), method.get("training")
        if not kinds or stage not in task["training"]:
            continue  # see `check_stage`
        limits = {"max_examples": "examples"}
        if has_unlabelled(task) and learns_from_unlabelled(method):
            limits["max_unlabelled"] = "unlabelled inputs"
        for key, noun in limits.items():
            trained, sampled = (task["training"][of][key] for of in (stage, DISTILL))
            if trained != sampled:
                yield Problem(
                    ("training", stage, key),
                    f"{show(trained)}, but method '{name}' trains with it on {kinds[0]}, which are sampled for "
                    f"training.{DISTILL}.{key}, {show(sampled)} {noun}; make the two equal, or set the method's "
                    f"training to {DISTILL}",
                )


def check_per_input(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that a method uses no more sequences per input than are sampled; files of outputs have any number."""
    if outputs_of(task) is not None:
        return
    for name, method in methods.items():
        wanted = method.get("per_input")
        for kind in stored_kinds(method) if wanted is not None else ():
            if kind != OTHER_TEACHER_BEAM and wanted > (stored := task[kind]["per_input"]):
                text = f"{stored} per input, but method '{name}' uses {wanted} (its per_input); raise it, or lower that"
                yield Problem((kind, "per_input"), text)


def check_replay(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that the samples which a method stores are enough for a step: it would learn from fewer examples."""
    for name, method in methods.items():
        stage = task["training"].get(method.get("training"))
        if stage is None or not any(term["sequences"] == REPLAYED_SAMPLES for term in method.get("terms", [])):
            continue
        if method["replay_size"] < (step := stage["batch_size"] * stage["accumulation"]):
            yield Problem(
                ("training", method["training"], "batch_size"),
                f"a step has {step} examples (batch_size x accumulation), but method '{name}' stores only "
                f"{method['replay_size']} (its replay_size); raise that, or lower this",
            )


def check_labelled(name: str, task: Task, methods: Methods, selected: list[str]) -> Iterator[tuple[int, str]]:
    """Yield those of the `selected` methods, by number, that learn from another teacher, if task `name` has none."""
    if task.get("other_teacher") is not None:
        return
    for index, method in enumerate(selected):
        if OTHER_TEACHER_BEAM in stored_kinds(methods.get(method, {})):
            yield (
                index,
                f"'{method}' learns from {OTHER_TEACHER_BEAM}, but task '{name}' has no other teacher; set "
                f"task_overrides.{name}.other_teacher: its init (a fine-tuned checkpoint) or its labels (a file), or "
                "remove the method",
            )


def check_stage(name: str, task: Task, methods: Methods, selected: list[str]) -> Iterator[tuple[int, str]]:
    """Yield those of the `selected` methods, by number, that need a training stage which task `name` does not have."""
    missing = {PREDISTILL, FINETUNE} - task.get("training", {}).keys()
    used = with_starts(selected, methods)
    for trained in (method for method in used if methods[method].get("training") in missing):
        stage, place = methods[trained]["training"], f"task_overrides.{name}"
        index = next(i for i, method in enumerate(selected) if trained in with_starts([method], methods))
        starting = [method for method in used if methods[method].get("start") == trained]
        of_start, otherwise, remove = "", "", "remove the method"
        if starting:
            of_start = f", from which {' and '.join(map(repr, starting))} start{'s' * (len(starting) == 1)},"
            changes = ", ".join(f"{method}: {{start: {INIT_STUDENT}}}" for method in starting)
            otherwise, remove = f", set {place}.method_overrides: {{{changes}}}", "remove the methods"
        yield (
            index,
            f"'{trained}'{of_start} is trained with training.{stage}, which task '{name}' does not have; set "
            f"{place}.training.{stage}: its learning_rate and epochs{otherwise}, or {remove}",
        )


def check_attention(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that the attention of a method's models can be compared: only that of encoder-decoder models is."""
    family = FAMILIES.get(task["model"]["family"])
    for name, method in methods.items() if family and not family.is_encoder_decoder else ():
        if any(term["loss"] == "attention_mse" for term in method.get("terms", [])):
            text = f"has only a decoder, but method '{name}' has the loss attention_mse, for encoder-decoder models"
            yield Problem(("model", "family"), f"'{task['model']['family']}' {text}; remove '{name}' from methods")


def check_lengths(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that no sampled sequence is longer than a target: other checks compare only targets with the positions.

    Where a section sets no longest sequence, it is the longest target, and the shortest may not be longer.
    """
    longest = task["text"]["max_target_tokens"]
    # The other teacher's lengths are in its own tokens, see `other_teacher_checks`.
    sections = [(kind, task[kind], None) for kind in TEACHER_SEQUENCES]
    # Reported at the task's own key: the method's may be in the table that all tasks share.
    own = ("text", "max_target_tokens")
    sections += [(f"method '{name}'", method[STUDENT_SAMPLES], own) for name, method in methods.items()]
    for owner, sampling, path in sections:
        key, length = limiting_length(sampling)
        if length is not None and length > longest:
            text = f"{owner} asks for sequences of {length} tokens ({key}), more than text.max_target_tokens"
            yield Problem(path or (owner, key), f"{text}, {longest}; lower {key} or raise text.max_target_tokens")


def check_vocabulary(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that beams and likeliest tokens are no more than the tokens of a model from scratch.

    The vocabulary of a checkpoint is not known here: jobs check it when they begin.
    """
    for owner, start, _ in with_tokenizers(task):
        if start["init"] == SCRATCH:
            kinds = TEACHER_SEQUENCES if owner == "teacher" else ()
            of_student = methods if owner == "student" or shares_tokenizer(task) else {}
            yield from _beyond_vocabulary(task, ("model", owner, "vocab_size"), start["vocab_size"], kinds, of_student)


def _beyond_vocabulary(
    task: Task, place: KeyPath, tokens: int, kinds: Iterable[str], methods: Methods
) -> Iterator[Problem]:
    """Yield the beams and likeliest tokens that are more than the `tokens` of the key `place`.

    `kinds` are the teacher's sequences that are searched with them, `methods` those whose students have them.
    """
    given = [((name, "num_beams"), task[name]["num_beams"]) for name in (*kinds, "decoding", "selection")]
    given.append((("selection", "agreement_top_k"), task["selection"]["agreement_top_k"]))
    for stage, changes in task["selection_overrides"].items():
        given += [(("selection_overrides", stage, key), changes.get(key)) for key in ("num_beams", "agreement_top_k")]
    for path, value in given:
        if isinstance(value, int) and value > tokens:
            yield Problem(
                path, f"{value} is more than the {tokens} tokens of the vocabulary ({'.'.join(place)}); lower it"
            )
    for name, method in methods.items():
        if (beams := method[STUDENT_SAMPLES]["num_beams"] or 0) > tokens:
            text = f"{tokens} tokens, but method '{name}' searches with {beams} beams (its {STUDENT_SAMPLES}.num_beams)"
            yield Problem(place, f"{text}; lower that, or raise this")


def check_cache(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that the teacher cache contains what each method needs of the teacher on the teacher's samples."""
    stored = task["teacher_cache"]
    for name, method in methods.items() if stored != NONE else ():
        for term in method.get("terms", []):
            if term["sequences"] != TEACHER_SAMPLES or term["loss"] == NLL:
                continue
            if missing := not_stored(method, term, stored):
                text = f"{stored} does not contain {missing}, which method '{name}' needs on the teacher's samples"
                yield Problem(("teacher_cache",), f"{text}; set none, or remove '{name}' from methods")


def _use_of_teacher(method: Method) -> str:
    """Return what the method needs the teacher for."""
    for term in method.get("terms", []):
        if "teacher" in term["sequences"]:
            return f"it learns from {term['sequences']}"
        if term["loss"] != NLL:
            return f"its loss '{term['loss']}' reads the teacher's distributions"
    return "its student starts as a copy of the teacher's layers (init_student)"
