"""Files of the configuration that are not valid YAML, or cannot be read: each message has file, line and remedy."""

import itertools
import os
import time

import pytest
from small_config import MAIN, METHODS, TASK

NAMES = "abcdefghijkl"


def bomb(form: str) -> str:
    """Return a short file in which every value holds the one before it nine times."""
    pairs = itertools.pairwise(NAMES)
    return "a: &a {x: 1}\n" + "".join(f"{c}: &{c} {form.format(', '.join([f'*{b}'] * 9))}\n" for b, c in pairs)


def chain(length: int) -> str:
    """Return a file in which every value is a list of the one before it."""
    return "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, length))


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
        ("a: !!python/name:os.system\n", 'line 1: a: the tag "!!python/name:os.system" is not allowed here; remove it'),
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
        ("a:\n  b: [1, 2020-13-45]\n", "line 2: a.b[1]: 2020-13-45 is a date to YAML; put it in quotes"),
        ("a: 2020-01-01\n", "line 1: a: 2020-01-01 is a date to YAML; put it in quotes"),
        ('a: !!int "x"\n', "line 1: a: x is not an integer of at most 4,300 digits; correct it, or put text in quotes"),
        ('a: !!bool "x"\n', "line 1: a: x is not true or false; correct it"),
        (f"a: {'9' * 6000}\n", f"line 1: a: {'9' * 60} ... is not an integer of at most 4,300 digits"),
        ("a: !!set {b}\n", 'line 1: a: the tag "!!set" is not allowed here'),
        (
            f"a: {'[' * 500}{']' * 500}\n",
            "line 1: mappings and lists nested more than 50 levels deep; write it flatter",
        ),
        (f"a: {'{a: ' * 200_000}\n", "line 1: mappings and lists nested more than 50 levels deep"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(200)), "line 51: mappings and lists nested more than 50"),
        (bomb("[{}]"), "more than 10,000 values, counting those that aliases (*) repeat; shorten it"),
        (bomb("{{<<: [{}]}}"), "more than 10,000 values, counting those that aliases (*) repeat; shorten it"),
        (chain(100), "mappings and lists nested more than 50 levels deep by aliases (*); write it flatter"),
        ("a: [" + "1, " * 50_000 + "]\n", "more than 10,000 values"),
        ("# " + "x" * 1_000_000, "1,000,002 bytes, more than the 1,000,000 that a configuration may have"),
    ],
    ids=range(30),
)
def test_bad_yaml(project, content, text):
    project.write("config/tasks/bad.yaml", content)
    began = time.process_time()  # not the clock: the machine may be busy
    (line,) = project.mistakes()
    assert time.process_time() - began < 2
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


def test_a_byte_order_mark_is_read(project):
    content = (project.root / TASK).read_bytes()
    (project.root / TASK).write_bytes(b"\xef\xbb\xbf" + content)
    assert project.load().task("web")["title"] == "Web"


def test_a_pipe_is_not_waited_for(project):
    os.mkfifo(project.root / "config/tasks/pipe.yaml")
    (line,) = project.mistakes()
    assert line == "config/tasks/pipe.yaml: not a regular file; write the settings to one"


def test_an_alias_is_read(project):
    text = (project.root / TASK).read_text()
    project.write(TASK, f"{text}teacher_beam: &shared {{mode: beam, num_beams: 2}}\nteacher_samples: *shared\n")
    assert project.load().task("web")["teacher_samples"]["num_beams"] == 2
