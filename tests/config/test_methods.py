"""A task's own changes to the table of methods: what they make of it, and their mistakes."""

import pytest
from small_config import MAIN, METHODS, OPEN, STUDY, TABLE, TASK, WEB, put

MSE = {"sequences": "ground_truth", "loss": "hidden_mse"}
NLL = {"sequences": "ground_truth", "loss": "nll"}


def change(project, **methods):
    """Give the task `web` these changes."""
    project.write(TASK, WEB | {"method_overrides": methods})


# --- what they make of the table ---


def test_changes_are_merged_key_by_key_and_lists_are_replaced(project):
    project.write("config/tasks/other.yaml", WEB)
    change(project, kl={"terms": [MSE], "start": "init_student"})
    study = project.load()
    kl = study.method("kl")
    assert study.method("kl", "web") == kl | {
        "start": "init_student",
        "terms": [MSE | {"weight": 1.0, "temperature": 1.0, "parameters": {"normalize": False}}],
    }
    assert kl["start"] == "predistill" and kl["terms"][0]["loss"] == "kl"
    assert study.method("kl", "other") == kl
    assert study.method("mle", "web") == study.method("mle")


def test_the_study_changes_a_tasks_changes(project):
    change(project, kl={"terms": [NLL], "start": "init_student"})
    project.write(OPEN, {"task_overrides": {"web": {"method_overrides": {"kl": {"terms": [MSE]}}}}})
    changed = project.load().method("kl", "web")
    assert (changed["start"], changed["terms"][0]["loss"]) == ("init_student", "hidden_mse")


# --- mistakes ---


@pytest.mark.parametrize(
    ("methods", "text"),
    [
        ({"klx": {"start": "init_student"}}, "klx: unknown method 'klx'; did you mean 'kl'?"),
        ({"klx": {}}, "klx: unknown method 'klx'; did you mean 'kl'?"),
        ({"kl": {"strat": "predistill"}}, "kl.strat: unknown key; did you mean 'start'?"),
        ({"kl": {"training": "teacher"}}, 'kl.training: "teacher" is not allowed; must be one of predistill'),
        ({"kl": {"terms": []}}, "kl.terms: [] is not allowed; must be a list"),
        ({"kl": {"terms": {"weight": 2}}}, 'kl.terms: {"weight": 2} is not allowed; must be a list'),
        (
            {"kl": {"terms": [NLL, {"loss": "kl"}]}},
            "kl.terms[1].sequences: missing; set one of ground_truth",
        ),
        (
            {"kl": {"terms": [NLL | {"parameters": {"normalize": True}}]}},
            "kl.terms[0].parameters.normalize: true is not used with loss 'nll', only with hidden_mse",
        ),
        (
            {"kl": {"terms": [MSE | {"temperature": 2.0}]}},
            "kl.terms[0].temperature: 2.0 is not used with loss 'hidden_mse', which reads no logits; remove it",
        ),
        ({"predistill": {"start": "predistill"}}, "predistill.start: the method cannot start from itself"),
        (
            {"kl": {"title": "KL!"}},
            "kl.title: a method has one title for all tasks; change it in config/methods.yaml",
        ),
        ({"kl": 3}, "kl: 3 is not allowed; must be a mapping (Changes to one method.)"),
    ],
)
def test_mistakes_name_the_key_and_the_file_that_has_it(project, methods, text):
    change(project, **methods)
    (line,) = project.mistakes()
    assert line.startswith(f"{TASK}: method_overrides.{text}")
    project.write(TASK, WEB)
    project.write(OPEN, {"task_overrides": {"web": {"method_overrides": methods}}})
    (line,) = project.mistakes()
    assert line.startswith(f"{OPEN}: task_overrides.web.method_overrides.{text}")


def test_mistakes_of_the_table_are_not_the_tasks(project):
    project.write(METHODS, put(TABLE, "kl.terms.0.weight", -1))
    change(project, kl={"start": "init_student"}, mle={"terms": [MSE]})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: kl.terms[0].weight: -1 is not allowed")


def test_a_table_that_cannot_be_read_makes_no_method_unknown(project):
    project.write(METHODS, "")
    change(project, kl={"start": "init_student"})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: line 1: the file is empty")


def test_a_task_without_a_teacher_is_checked_with_its_own_terms(project):
    overrides = {"mle": {"terms": [MSE]}}
    project.write(TASK, put(WEB, "model.teacher", None) | {"method_overrides": overrides})
    (line,) = project.mistakes(methods=["mle"])
    assert "method 'mle' needs a teacher: its loss 'hidden_mse' reads the teacher's distributions" in line


# --- how the student samples ---

RKL = TABLE["kl"] | {"title": "RKL", "terms": [{"sequences": "student_samples", "loss": "rkl"}]}
BEAM_SAMPLE = {"mode": "beam_sample", "num_beams": 6, "top_k": 30, "temperature": 0.9}


def test_the_student_samples_from_itself_unless_told_otherwise(project):
    project.write(METHODS, TABLE | {"rkl": RKL})
    assert project.load().method("rkl")["student_samples"]["mode"] == "ancestral"
    change(project, rkl={"student_samples": BEAM_SAMPLE})
    study = project.load()
    assert study.method("rkl", "web")["student_samples"].items() >= BEAM_SAMPLE.items()
    assert study.method("rkl")["student_samples"]["mode"] == "ancestral"


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        ({"mode": "greedy"}, 'mode: "greedy" is not allowed; must be one of ancestral, '),
        ({"mode": "nucleus"}, "top_p: missing; mode 'nucleus' needs it"),
        ({"per_input": 2}, "per_input: unknown key"),
        ({"top_k": 5}, "top_k: 5 is not used with mode 'ancestral'"),
        (
            {"mode": "diverse_beam", "num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
            "mode: the groups differ from the first one, whose best sequence is the only one asked for; use mode beam",
        ),
    ],
)
def test_mistakes_in_how_the_student_samples(project, samples, text):
    project.write(METHODS, TABLE | {"rkl": RKL | {"student_samples": samples}})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: rkl.student_samples.{text}")


def test_a_method_without_student_samples_does_not_say_how_they_are_drawn(project):
    change(project, kl={"student_samples": BEAM_SAMPLE})
    (line,) = project.mistakes()
    assert line.startswith(f"{TASK}: method_overrides.kl.student_samples: not used")


def test_the_students_samples_are_no_longer_than_targets(project):
    project.write(METHODS, TABLE | {"rkl": RKL | {"student_samples": {"max_new_tokens": 17}}})
    project.load()  # the study does not select it
    (line,) = project.mistakes(methods=["rkl"])
    assert line.startswith(f"{TASK}: text.max_target_tokens: method 'rkl' asks for sequences of 17 tokens")


# --- selection by stage ---


def test_a_stage_has_its_own_selection(project):
    changes = {"predistill": {"num_beams": 2}, "distill": {"keep": "last", "metric": "rouge2"}}
    project.write(TASK, WEB | {"selection": {"metric": "rougeL", "num_beams": 5}, "selection_overrides": changes})
    study = project.load()
    chosen = {stage: study.selection("web", stage) for stage in ("teacher", "predistill", "distill")}
    assert [chosen[stage]["num_beams"] for stage in chosen] == [5, 2, 5]
    assert [chosen[stage]["metric"] for stage in chosen] == ["rougeL", "rougeL", "rouge2"]
    assert [chosen[stage]["keep"] for stage in chosen] == ["best", "best", "last"]


# --- stored teacher sequences ---


def sized(predistill, distill):
    return put(put(WEB, "training.predistill.max_examples", predistill), "training.distill.max_examples", distill)


@pytest.mark.parametrize(("used", "sampled"), [(8, 4), (4, 8), (None, 8), (8, None)])
@pytest.mark.parametrize("sequences", ["teacher_samples", "teacher_beam"])
def test_stored_sequences_are_those_of_the_examples_trained_on(project, used, sampled, sequences):
    terms = [NLL, {"sequences": sequences, "loss": "nll"}]
    project.write(METHODS, TABLE | {"new": TABLE["mle"] | {"terms": terms}})
    project.write(TASK, sized(used, sampled))
    shown = ["null" if size is None else str(size) for size in (used, sampled)]
    assert project.mistakes() == [
        f"{TASK}: training.predistill.max_examples: {shown[0]}, but method 'new' trains with it on "
        f"{sequences}, which are sampled for training.distill.max_examples, {shown[1]} examples; "
        "make the two equal, or set the method's training to distill"
    ]
    project.write(TASK, sized(used, used))
    project.load()
    project.write(TASK, sized(used, sampled) | {"method_overrides": {"new": {"training": "distill"}}})
    project.load()


def test_stored_sequences_after_a_change_of_the_method_or_the_study(project):
    project.write(TASK, sized(8, 4))
    project.load()  # what is shipped trains on them with training.distill
    project.write(TASK, sized(8, 4) | {"method_overrides": {"kl": {"training": "predistill"}}})
    (line,) = project.mistakes()
    assert line.startswith(f"{TASK}: training.predistill.max_examples: 8, but method 'kl' trains with it on")
    project.write(TASK, sized(8, 8) | {"method_overrides": {"kl": {"training": "predistill"}}})
    project.load()
    changes = {"training": {"predistill": {"max_examples": 2}}}
    project.write(MAIN, STUDY | {"task_overrides": {"web": changes}})
    (line,) = project.mistakes()
    assert line.startswith(f"{MAIN}: task_overrides.web.training.predistill.max_examples: 2, but method 'kl'")


MIXED = {"sequences": "student_samples", "loss": "generalised_js"}


def test_the_mixtures_weight_has_two_names(project):
    """`beta` is the student's weight, `teacher_weight` the teacher's; a study knows the first only."""
    on_policy = TABLE["kl"] | {"terms": [MIXED | {"parameters": {"teacher_weight": 0.9}}]}
    project.write(METHODS, TABLE | {"gkd": on_policy})
    assert project.load().method("gkd")["terms"][0]["parameters"] == {"beta": 0.1}
    changed = [MIXED | {"parameters": {"teacher_weight": 0.25}}]
    project.write(TASK, WEB | {"method_overrides": {"gkd": {"terms": changed}}})
    assert project.load().method("gkd", "web")["terms"][0]["parameters"] == {"beta": 0.75}
    assert project.load().method("gkd")["terms"][0]["parameters"] == {"beta": 0.1}


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"beta": 0.1, "teacher_weight": 0.1}, "the mixture's weight is given twice: beta, 0.1, is the student's, and"),
        ({"teacher_weight": 1}, "1 is not allowed; must be a number > 0 and < 1 (Weight of the teacher"),
        ({"teacher_weigth": 0.1}, "unknown key; did you mean 'teacher_weight'?"),
    ],
)
def test_mistakes_in_the_mixtures_weight(project, parameters, text):
    project.write(METHODS, TABLE | {"gkd": TABLE["kl"] | {"terms": [MIXED | {"parameters": parameters}]}})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: gkd.terms[0].parameters.") and text in line
    project.write(METHODS, TABLE)
    changes = {"method_overrides": {"kl": {"terms": [MIXED | {"parameters": parameters}]}}}
    project.refuses(WEB | changes, text)
