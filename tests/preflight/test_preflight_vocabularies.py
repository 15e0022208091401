"""Preflight of a student that copies no layers: its size, and whether its vocabulary is the teacher's."""

import pytest
import tiny
from fdistill.models.checkpoints import save
from fdistill.preflight import teachers, vocabularies
from plans import plan, problems

SHORT = (("text", {"max_source_tokens": 16, "max_target_tokens": 8}), ("decoding.max_new_tokens", 8))


def of_student(project, teacher, student, **more):
    """The plan of a study with a teacher's folder and a student by itself."""
    changes = (("model.teacher", {"init": str(teacher)}), ("model.student", student | more), *SHORT)
    return plan(project, *changes, methods=["mle"])


@pytest.mark.parametrize(("letters", "is_same"), [(tiny.LETTERS, True), ("abc", False)])
def test_vocabularies_of_folders_are_compared(project, tmp_path, letters, is_same):
    save(tiny.checkpoint("bart"), tmp_path / "teacher")
    save(tiny.checkpoint("bart", letters=letters, decoder_layers=1), tmp_path / "student")
    folders = tmp_path / "teacher", {"init": str(tmp_path / "student")}
    made = of_student(project, *folders)
    (sizes,) = teachers.check(made)
    assert not sizes.problem and "student 0.0 M parameters" in sizes.text
    (found,) = vocabularies.check(made)
    assert found.problem != is_same
    if not is_same:
        (line,) = problems([found])
        assert "have different vocabularies (12 and 7 tokens)" in line and "own_tokenizer: true" in line
        assert not list(vocabularies.check(of_student(project, *folders, own_tokenizer=True)))


def test_a_student_from_scratch_has_the_teachers_vocabulary(project, tmp_path):
    save(tiny.checkpoint("bart"), tmp_path / "teacher")
    made = of_student(project, tmp_path / "teacher", {"init": "scratch", "config": tiny.CONFIGS["bart"]})
    found = made.architectures["web"]
    assert found.students[None].vocabulary == found.teacher.vocabulary
    assert not list(vocabularies.check(made))


def test_a_student_of_another_family_is_refused_by_its_key(project, tmp_path):
    for name, family in (("teacher", "bart"), ("student", "t5")):
        save(tiny.checkpoint(family), tmp_path / name)
    (finding,) = teachers.check(of_student(project, tmp_path / "teacher", {"init": str(tmp_path / "student")}))
    assert finding.problem and finding.text.startswith("model.student.family: ")
    assert "is a t5 model, not bart" in finding.text
