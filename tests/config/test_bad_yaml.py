"""Files of the configuration that are not valid YAML, or cannot be read: each message has file, line and remedy."""

import pytest
from small_config import MAIN, METHODS, TASK


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "line 1: the file is empty; write its keys as 'key: value' lines, or delete it"),
        ("# nothing\n", "line 1: the file is empty"),
        ("- a\n- b\n", "line 1: the file contains a list, not a mapping; write 'key: value' lines"),
        ("title\n", "line 1: the file contains a single value, not a mapping"),
        ("title: a\ntext:\n\tmax: 1\n", "line 3: indented with a tab; use spaces"),
        ("title: a\ntext: [1, 2\nmodel: 3\n", "line 3: not YAML"),
        (
            "title: a: b\n",
            "line 1: not YAML (mapping values are not allowed in this context); check indentation,",
        ),
        ("title: a\n b: 2\n", "line 2: not YAML"),
        ("a: 1\nb: 2\n---\nc: 3\n", "line 3: not YAML"),
        ("a: !!python/name:os.system\n", "line 1: not YAML"),
        (
            "title: a\ntext: 1\ntitle: b\n",
            "line 3: the key 'title' is given twice (first on line 1); keep one",
        ),
        (
            "a: {b: 1,\n c: [{d: 1, d: 2}]}\n",
            "line 2: the key 'd' is given twice (first on line 2); keep one",
        ),
        ("yes: 1\n", "line 1: the key yes is not text; put it in quotes"),
        ("a: {1: 2}\n", "line 1: the key 1 is not text; put it in quotes"),
        ("a: &a\n  b: *a\n", "contains itself, by an alias (*); write it out"),
        ("a: \x07\n", "not YAML: "),
    ],
)
def test_bad_yaml(project, content, text):
    project.write("config/tasks/bad.yaml", content)
    (line,) = project.mistakes()
    assert line.startswith("config/tasks/bad.yaml: ")
    assert text in line


def test_every_duplicate_key_is_listed(project):
    project.write("config/tasks/bad.yaml", "a: 1\na: 2\nb:\n  c: 1\n  c: 2\n")
    assert len(project.mistakes()) == 2


@pytest.mark.parametrize("file", [MAIN, METHODS])
def test_bad_yaml_elsewhere(project, file):
    project.write(file, "a: 1\na: 2\n")
    assert project.mistakes() == [f"{file}: line 2: the key 'a' is given twice (first on line 1); keep one"]


def test_other_unreadable_files(project):
    (project.root / METHODS).unlink()
    (project.root / TASK).write_bytes(b"title: \xff")
    (project.root / "config/tasks/folder.yaml").mkdir()
    lines = project.mistakes()
    assert f"{METHODS}: no such file" in lines
    assert any(line.startswith(f"{TASK}: not UTF-8 text") and "save it as UTF-8" in line for line in lines)
    assert "config/tasks/folder.yaml: cannot be read (Is a directory)" in lines


def test_no_tasks_at_all(project):
    (project.root / TASK).unlink()
    assert project.mistakes() == ["config/tasks: no task here; write one as config/tasks/NAME.yaml"]
