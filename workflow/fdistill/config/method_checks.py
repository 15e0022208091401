"""Checks of the table of methods, and of a task's changes to it (`method_overrides`).

See `fdistill.config.crosschecks`, which runs them.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fdistill.config.files import merge
from fdistill.config.method_starts import start_problems, with_starts
from fdistill.config.model_checks import NLL, SCRATCH, Task, outputs_of
from fdistill.config.schedule_checks import FROM_STUDENT, REPLAYED_SAMPLES, STUDENT_SAMPLES, check_schedule
from fdistill.config.schema import fill_defaults, section
from fdistill.models.families import FAMILIES
from fdistill.runtime.validation import Problem, chosen, condition_problems, nearest, problems, show, without
from fdistill.sampling.modes import search_mistakes

Method = dict[str, Any]
Methods = dict[str, Method]

OVERRIDES = "method_overrides"
OTHER_TEACHER_BEAM = "other_teacher_beam"
# Kinds of sequence, and the task's keys that say how they are sampled.
STORED_SEQUENCES = ("teacher_samples", "teacher_beam", OTHER_TEACHER_BEAM)
BETA, TEACHER_WEIGHT = "beta", "teacher_weight"  # two names for one parameter of a loss
# Losses that read the inside of the teacher, and what they read.
LAYER_LOSSES = {"hidden_mse": "hidden states", "hidden_cosine": "hidden states", "attention_mse": "attention weights"}
FINETUNE = "finetune"  # the training stage that not every task has
TOPK = "topk"  # a kind of teacher cache
DISTILL = "distill"  # the training stage for whose examples the teacher's sequences are sampled


def read_methods(table: dict[str, Any]) -> tuple[Methods, list[Problem]]:
    """Return the methods of a table with their defaults, and the mistakes in the table.

    A key with a mistake is left out of its method.
    """
    form_mistakes = problems(table, section("methods"))
    clean = without(table, form_mistakes)
    methods = {name: complete(clean.get(name, {})) for name in table}
    condition_mistakes = [
        problem.under(name)
        for name, method in methods.items()
        for problem in condition_problems(method, section("method"))
    ]
    term_mistakes = [problem.under(name) for name, method in clean.items() for problem in _term_problems(method)]
    own_mistakes = [*form_mistakes, *term_mistakes, *condition_mistakes]
    schedule_mistakes = [problem.under(name) for name, method in methods.items() for problem in check_schedule(method)]
    own_mistakes += [*schedule_mistakes, *start_problems(methods)]
    return methods, [*own_mistakes, *_sampling_problems(methods), *_unused_stream(methods)]


def read_terms(terms: Any) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the terms of one method as `read_methods` would, and the mistakes in them."""
    schema = {"type": "object", "properties": {"terms": section("method")["properties"]["terms"]}}
    method = {"terms": terms}
    if mistakes := problems(method, schema):
        return [], mistakes
    filled = complete(method)
    return filled["terms"], [*_term_problems(method), *condition_problems({"terms": filled["terms"]}, schema)]


def complete(method: Method) -> Method:
    """Return a method with its defaults, and with `beta` in place of `teacher_weight`, which is 1 - beta."""
    terms = [_with_beta(term) for term in method.get("terms", [])]
    return fill_defaults({**method, **({"terms": terms} if "terms" in method else {})}, section("method"))


def _with_beta(term: dict[str, Any]) -> dict[str, Any]:
    schema, parameters = section("term")["properties"]["parameters"]["properties"], term.get("parameters", {})
    if TEACHER_WEIGHT not in parameters or not chosen(schema[TEACHER_WEIGHT]["only_for"], term, None):
        return term
    others = {key: value for key, value in parameters.items() if key != TEACHER_WEIGHT}
    # In decimal, so that 0.9 becomes 0.1 and not 0.09999999999999998.
    beta = float(1 - Decimal(str(parameters[TEACHER_WEIGHT])))
    return {**term, "parameters": {BETA: beta} | others}


def _term_problems(method: Method) -> Iterator[Problem]:
    """Yield the terms that have a mixture's weight by both of its names, or a temperature that nothing is divided by.

    Without logits to divide, a temperature would be a second weight, its own square.
    """
    for index, term in enumerate(method.get("terms", [])):
        parameters = term.get("parameters", {})
        if BETA in parameters and TEACHER_WEIGHT in parameters:
            yield Problem(
                ("terms", index, "parameters", TEACHER_WEIGHT),
                f"the mixture's weight is given twice: {BETA}, {show(parameters[BETA])}, is the student's, and "
                f"{TEACHER_WEIGHT}, {show(parameters[TEACHER_WEIGHT])}, the teacher's (GKD's and TRL's beta); keep one",
            )
        loss, temperature = term.get("loss"), term.get("temperature", 1)
        if loss == "policy_gradient" and term.get("sequences") != STUDENT_SAMPLES:
            text = f"'{loss}' needs sequences of the current student; set {STUDENT_SAMPLES}"
            yield Problem(("terms", index, "sequences"), text)
        if temperature != 1 and loss in LAYER_LOSSES:
            text = f"{show(temperature)} is not used with loss '{loss}', which reads no logits; remove it"
            yield Problem(("terms", index, "temperature"), text)


def methods_for(task: Task, methods: Methods) -> tuple[Methods, list[Problem]]:
    """Return the methods with the task's changes, and the mistakes in these changes, by their keys in the task."""
    changes = task.get(OVERRIDES, {})
    if not (changes and methods):  # no methods: the table cannot be read, which is reported elsewhere
        return methods, []
    mistakes = []
    for name in changes:
        if name not in methods:
            mistakes.append(Problem((name,), f"unknown method '{name}'; {nearest(name, methods)}"))
        elif "title" in changes[name]:
            text = "a method has one title for all tasks; change it in config/methods.yaml"
            mistakes.append(Problem((name, "title"), text))
    known = {name: change for name, change in changes.items() if name in methods}
    table_mistakes = read_methods(methods)[1]  # reported with the table's own file
    changed, changed_mistakes = read_methods(merge(methods, known))
    mistakes += [mistake for mistake in changed_mistakes if mistake not in table_mistakes]
    return changed, [mistake.under(OVERRIDES) for mistake in mistakes]


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
    """Check that a method trains on the examples for which the teacher's sequences are sampled.

    These are the examples of stage `distill`.
    """
    sampled_count = task["training"][DISTILL]["max_examples"]
    for name, method in methods.items():
        kinds = stored_kinds(method)
        if not kinds or method.get("training") not in task["training"]:
            continue  # see `check_stage`
        stage = method["training"]
        trained_count = task["training"][stage]["max_examples"]
        if trained_count != sampled_count:
            yield Problem(
                ("training", stage, "max_examples"),
                f"{show(trained_count)}, but method '{name}' trains with it on {kinds[0]}, which are sampled for "
                f"training.{DISTILL}.max_examples, {show(sampled_count)} examples; "
                f"make the two equal, or set the method's training to {DISTILL}",
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
    """Yield those of the `selected` methods, by number, that need the stage `finetune`, if task `name` has none."""
    if FINETUNE in task.get("training", {}):
        return
    for index, method in enumerate(selected):
        for trained in with_starts([method], methods):
            if methods[trained].get("training") == FINETUNE:
                yield (
                    index,
                    f"'{trained}' is trained with training.{FINETUNE}, which task '{name}' does not have; set "
                    f"task_overrides.{name}.training.{FINETUNE}: its learning_rate and epochs, or remove the method",
                )


def check_attention(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that the attention of a method's models can be compared: only that of encoder-decoder models is."""
    family = FAMILIES.get(task["model"]["family"])
    for name, method in methods.items() if family and not family.is_encoder_decoder else ():
        if any(term["loss"] == "attention_mse" for term in method.get("terms", [])):
            text = f"has only a decoder, but method '{name}' has the loss attention_mse, for encoder-decoder models"
            yield Problem(("model", "family"), f"'{task['model']['family']}' {text}; remove '{name}' from methods")


def check_lengths(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that no sampled sequence is longer than a target: other checks compare only targets with the positions."""
    longest = task["text"]["max_target_tokens"]
    # The other teacher's lengths are in its own tokens, see `other_teacher_checks`.
    kinds = [kind for kind in STORED_SEQUENCES if kind != OTHER_TEACHER_BEAM]
    sections = [((kind, "max_new_tokens"), kind, task[kind]) for kind in kinds]
    sections += [  # reported at the task's own key: the method's may be in the table that all tasks share
        (("text", "max_target_tokens"), f"method '{name}'", method[STUDENT_SAMPLES]) for name, method in methods.items()
    ]
    for path, owner, sampling in sections:
        length = sampling["max_new_tokens"]
        if length is not None and length > longest:
            text = f"{owner} asks for sequences of {length} tokens (max_new_tokens), more than text.max_target_tokens"
            yield Problem(path, f"{text}, {longest}; lower max_new_tokens or raise text.max_target_tokens")


def check_cache(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that the teacher cache contains what each method needs of the teacher on the teacher's samples."""
    stored = task["teacher_cache"]
    for name, method in methods.items() if stored != "none" else ():
        for term in method.get("terms", []):
            if term["sequences"] != "teacher_samples":
                continue
            if missing := not_stored(term, stored):
                text = f"{stored} does not contain {missing}, which method '{name}' needs on the teacher's samples"
                yield Problem(("teacher_cache",), f"{text}; set none, or remove '{name}' from methods")


def not_stored(term: dict[str, Any], stored: str) -> str | None:
    """Return what a term reads of the teacher that a cache of the kind `stored` does not contain; None if nothing."""
    if term["loss"] in LAYER_LOSSES:
        return f"{LAYER_LOSSES[term['loss']]} (loss {term['loss']})"
    if stored == TOPK and term["parameters"].get("exact"):
        return "every sampled token's probability (parameter exact)"
    if stored == TOPK and term["temperature"] != 1:
        return "distributions at another temperature"
    return None


def _sampling_problems(methods: Methods) -> Iterator[Problem]:
    """Yield the keys about the student's samples that no term uses, and a search that has too few sequences."""
    keys = {
        STUDENT_SAMPLES: (FROM_STUDENT, fill_defaults({}, section("sampling"))),
        "replay_size": ((REPLAYED_SAMPLES,), section("method")["properties"]["replay_size"]["default"]),
    }
    for name, method in methods.items():
        used = {term.get("sequences") for term in method.get("terms", [])}
        for key, (kinds, default) in keys.items():
            if not used & {*kinds} and method.get(key, default) != default:
                text = f"not used: no term of the method learns from {' or '.join(kinds)}; remove it"
                yield Problem((name, key), text)
        settings = method[STUDENT_SAMPLES]
        for key, text in search_mistakes(settings["mode"], settings, per_input=1):
            yield Problem((name, STUDENT_SAMPLES, key), text)


def _unused_stream(methods: Methods) -> Iterator[Problem]:
    """Yield what a method says of stored sequences if it learns from none."""
    for name, method in methods.items():
        if not method.get("terms") or stored_kinds(method):
            continue
        for key, unused in (("include_original", False), ("per_input", None)):
            if method.get(key, unused) != unused:
                text = f"not used: no term of the method learns from stored sequences ({', '.join(STORED_SEQUENCES)})"
                yield Problem((name, key), f"{text}; remove it")


def _use_of_teacher(method: Method) -> str:
    """Return what the method needs the teacher for."""
    for term in method.get("terms", []):
        if "teacher" in term["sequences"]:
            return f"it learns from {term['sequences']}"
        if term["loss"] != NLL:
            return f"its loss '{term['loss']}' reads the teacher's distributions"
    return "its student starts as a copy of the teacher's layers (init_student)"


def stored_kinds(method: Method) -> list[str]:
    """Return the kinds of the teachers' offline sequences that the method learns from."""
    kinds = [term["sequences"] for term in method.get("terms", [])]
    return [kind for kind in kinds if kind in STORED_SEQUENCES]
