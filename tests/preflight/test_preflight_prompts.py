"""Preflight's dry print of an example: what a decoder-only model reads, and what it learns."""

import pytest
import tiny
from fdistill.artifacts.files import write_parquet
from fdistill.data.schemas import SPLIT
from fdistill.models import checkpoints
from fdistill.preflight import prompts
from plans import plan

TEXT = {"max_source_tokens": 16, "max_target_tokens": 16, "chat_template": True}
TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}<|endoftext|>{% endfor %}"
    "{% if add_generation_prompt %}h{% endif %}"
)


@pytest.fixture
def chatty(tmp_path):
    """The changes that make the small task one of a GPT-2 in a folder, with a chat template."""
    made = tiny.checkpoint("gpt2")
    made.tokenizer.chat_template = TEMPLATE
    checkpoints.save(made, tmp_path / "gpt2")
    model = {"family": "gpt2", "teacher": {"init": str(tmp_path / "gpt2")}, "student": {"decoder": 1}}
    return ("model", model), ("text", TEXT)


def test_one_example_is_printed_with_what_stands_around_it(project, chatty):
    made = plan(project, *chatty)
    example = {"id": ["1"], "group": ["1"], "source": ["a b"], "references": [["c"]]}
    write_parquet(made.results / "web/prepare/train.parquet", example, SPLIT, {})
    (finding,) = prompts.check(made)
    assert str(finding) == """ok      web: teacher's prompt: reads "a b <|endoftext|> h", target "c <|endoftext|>\""""


def test_a_student_with_its_own_tokenizer_has_its_own_prompt(project, chatty, tmp_path):
    (_, model), text = chatty
    made = tiny.checkpoint("gpt2")
    made.tokenizer.chat_template = TEMPLATE.replace("}h{", "}g{")
    checkpoints.save(made, tmp_path / "student")
    student = {"init": str(tmp_path / "student"), "own_tokenizer": True}
    found = list(prompts.check(plan(project, ("model", model | {"student": student}), text, methods=["mle"])))
    assert [finding.where for finding in found] == ["web: teacher's prompt", "web: student's prompt"]
    assert [' h"' in found[0].text, ' g"' in found[1].text] == [True, True]


def test_before_prepare_an_example_stands_in_and_a_template_that_fails_is_a_problem(project, chatty, tmp_path):
    (finding,) = prompts.check(plan(project, *chatty))
    assert finding.text.startswith("reads ") and not finding.problem
    assert finding.text.endswith("(an example in words, as the data are not prepared)")
    (tmp_path / "gpt2" / "chat_template.jinja").write_text("{{ raise_exception('not today') }}")
    (tmp_path / "gpt2" / "manifest.json").unlink(missing_ok=True)
    (finding,) = prompts.check(plan(project, *chatty))
    assert finding.problem and "text.chat_template: " in finding.text and "not today" in finding.text
    assert not list(prompts.check(plan(project)))  # from scratch, and with an encoder
