"""Sizes of the student: what a study has of a task, and what is refused."""

import pytest
from fdistill.artifacts.systems import of_size, split_size
from fdistill.runtime.errors import UserError
from small_config import CHAT, MAIN, OPEN, STUDY, TASK, WEB, put

SIZES = "model.student_sizes"
DEEP = {"deep": {"encoder": 4, "decoder": 2}, "12-3": {"encoder": [0, 1, 3], "decoder": 1}}


@pytest.mark.parametrize(("system", "parts"), [("js", ("js", None)), ("js_exact-12-3", ("js_exact", "12-3"))])
def test_the_name_of_a_system_says_its_size(system, parts):
    assert split_size(system) == parts and of_size(*parts) == system


@pytest.fixture
def study(project):
    """A study whose only task has two further sizes, and its own changes to a method."""
    task = put(WEB, SIZES, DEEP)
    terms = [{"sequences": "teacher_samples", "loss": "tvd"}]
    project.write(TASK, task | {"method_overrides": {"kl": {"terms": terms}}})
    return project.load()


def test_a_study_has_every_method_in_every_size(study):
    assert study.sizes("web") == [None, "deep", "12-3"] == study.all_sizes
    assert study.students("web") == ["mle", "kl", "mle-deep", "kl-deep", "mle-12-3", "kl-12-3"]
    assert [study.task("web", size)["model"]["student"] for size in study.sizes("web")] == [
        {"encoder": 2, "decoder": [0]},
        *DEEP.values(),
    ]
    assert "student_sizes" not in study.task("web")["model"]  # which the benchmark's jobs depend on


def test_a_method_in_a_size_has_the_methods_entry_and_starts_from_its_size(study):
    plain, deep = study.method("kl", "web"), study.method("kl-deep", "web")
    assert deep == plain | {"title": "KL, deep", "start": "predistill-deep"}
    assert deep["terms"][0]["loss"] == "tvd"
    for name in ("mle-deep", "predistill-deep"):
        assert study.method(name, "web")["start"] == "init_student-deep"


def test_an_unknown_size_is_refused_with_the_nearest(study):
    for ask, arguments in ((study.task, ("web", "deeep")), (study.method, ("kl-deeep", "web"))):
        with pytest.raises(UserError) as error:
            ask(*arguments)
        text = "task 'web' has no student size 'deeep' (model.student_sizes); did you mean 'deep'?"
        assert str(error.value) == text


def test_methods_of_a_study_and_overrides_name_no_sizes(project):
    project.write(TASK, put(put(WEB, SIZES, DEEP), "method_overrides", {"kl-deep": {}}))
    project.write(MAIN, STUDY | {"methods": ["kl-deep"]})
    lines = project.mistakes()
    assert [line.split("; ")[0].split(": ", 1)[1] for line in lines] == [
        "methods[0]: unknown method 'kl-deep'",
        "method_overrides.kl-deep: unknown method 'kl-deep'",
    ]


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"E2": {"encoder": 1, "decoder": 1}}, f"{SIZES}.E2: 'E2' becomes part of a folder's name; use lower-case"),
        ({"-2": {"encoder": 1, "decoder": 1}}, f"{SIZES}.-2: '-2' becomes part of a folder's name"),
        ({"same": {"decoder": [0], "encoder": 2}}, f'{SIZES}.same: {{"decoder": [0], "encoder": 2}} is model.student'),
        ({"x": {"encoder": 5, "decoder": 1}}, f"{SIZES}.x.encoder: 5 is a student of 5 layers, but the teacher has 4"),
        (
            {"x": {"encoder": 1, "decoder": [2]}},
            f"{SIZES}.x.decoder: [2]: the teacher has no layer 2; its layers are 0",
        ),
        ({"x": {"encoder": 1}}, f"{SIZES}.x.decoder: missing; set the layers of every stack of 'bart': encoder and"),
        ({"x": {"encoder": 0, "decoder": 1}}, f"{SIZES}.x.encoder: 0 is not allowed; must be"),
        ({"x": {"encodr": 1, "encoder": 1, "decoder": 1}}, f"{SIZES}.x.encodr: unknown key; did you mean 'encoder'?"),
        ({"encoder": 3}, f"{SIZES}.encoder: 3 is not allowed; must be a mapping"),
    ],
)
def test_mistakes(project, sizes, text):
    project.refuses(put(WEB, SIZES, sizes), text)


def test_a_size_that_is_another_one_already_names_it(project):
    project.refuses(
        put(WEB, SIZES, DEEP | {"x": DEEP["deep"]}), " is model.student_sizes.deep already; remove this one"
    )


def test_a_studys_own_sizes_are_checked_and_reported_in_its_file(project):
    project.write(OPEN, {"task_overrides": {"web": {"model": {"student_sizes": {"x": {"encoder": 9, "decoder": 1}}}}}})
    (line,) = project.mistakes()
    assert line.startswith(f"{OPEN}: task_overrides.web.{SIZES}.x.encoder: 9 is a student of 9 layers")


# --- the notation 12-3, and how layers are chosen


def test_a_size_in_the_notation_is_its_layers(project):
    project.write(TASK, put(put(WEB, "model.student", "3-2"), SIZES, {"4-1": "4-1"}))
    study = project.load()
    assert study.task("web")["model"]["student"] == {"encoder": 3, "decoder": 2}
    assert study.task("web", "4-1")["model"]["student"] == {"encoder": 4, "decoder": 1}
    assert study.method("kl-4-1", "web")["title"] == "KL, 4-1"


@pytest.mark.parametrize(
    ("task", "key", "value", "text"),
    [
        (WEB, SIZES, {"x": "4x1"}, f"{SIZES}.x: '4x1' is no size; write the layers of encoder and decoder, as in 12-3"),
        (WEB, SIZES, {"x": "5-1"}, f"{SIZES}.x.encoder: 5 is a student of 5 layers, but the teacher has 4"),
        (WEB, "model.student", 3, "model.student: 3 is not allowed; must be a mapping, or text"),
        (
            CHAT,
            "model.student",
            "4-1",
            "model.student: \"4-1\" has layers of two stacks, and 'gpt2' only those of its de",
        ),
        (WEB, "model.student.decoder", {"choose": "high"}, "model.student.decoder.layers: missing; set an integer"),
        (
            WEB,
            "model.student.decoder",
            {"layers": 1, "choose": "hi"},
            'choose: "hi" is not allowed; must be one of spac',
        ),
        (WEB, "model.student.decoder", {"layers": 1, "form": "x"}, "decoder.form: unknown key; did you mean 'from'?"),
        (
            WEB,
            "model.student.decoder",
            {"layers": 3, "choose": "low"},
            "decoder: 3 is a student of 3 layers, but the te",
        ),
        (
            WEB,
            "model.student.decoder",
            {"layers": [0], "choose": "high"},
            'model.student.decoder.choose: "high" is not used with the list [0]; remove it, or give a number of layers',
        ),
        (
            WEB,
            "model.student.decoder",
            {"layers": 1, "from": "pretrained"},
            "model.student.decoder.from: the teacher is trained from random weights (model.teacher.init scratch), so",
        ),
        (
            WEB,
            "model.student.decoder",
            {"layers": 1, "from": "wob"},
            "decoder.from: 'wob' is no task of the study; know",
        ),
        (WEB, "model.student.decoder", {"layers": 1, "from": "web"}, "decoder.from: 'web' is this task; write teacher"),
    ],
)
def test_mistakes_in_how_a_stack_starts(project, task, key, value, text):
    project.refuses(put(task, key, value), text)


TUNED = put(WEB, "model.teacher", {"init": "org/bart"})
OTHER = "config/tasks/news.yaml"


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (TUNED, None),
        (WEB, "the teacher of 'news' is trained from scratch with a vocabulary of its own"),
        (
            put(put(CHAT, "model.teacher", {"init": "org/gpt2"}), "title", "N"),
            "the teacher of 'news' is a gpt2 model, not",
        ),
        (put(TUNED, "title", 7), "title: 7 is not allowed"),  # its own mistake only
    ],
)
def test_the_teacher_of_another_task_must_fit(project, other, text):
    starts = {"x": {"encoder": 1, "decoder": {"layers": 1, "from": "news"}}}
    project.write(TASK, put(TUNED, SIZES, starts))
    project.write(OTHER, other)
    if text is None:
        (line,) = project.mistakes()
        assert line.startswith(
            f"{TASK}: {SIZES}.x.decoder.from: 'news' is no task of the study; known: teacher, pretra"
        )
    project.write(MAIN, STUDY | {"tasks": ["web", "news"], "methods": ["mle"]})
    if text is None:
        layers = project.load().task("web", "x")["model"]["student"]
        assert layers == starts["x"]
    else:
        assert any(text in line for line in project.mistakes())


def test_a_studys_own_origin_is_reported_in_its_file(project):
    starts = {"x": {"encoder": 1, "decoder": {"layers": 1, "from": "news"}}}
    project.write(OPEN, {"task_overrides": {"web": {"model": {"student_sizes": starts}}}})
    (line,) = project.mistakes()
    assert line.startswith(f"{OPEN}: task_overrides.web.{SIZES}.x.decoder.from: 'news' is no task of the study")
