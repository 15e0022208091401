"""The file of outputs: what it has when the endpoint refuses some of them, and what is never removed from it."""

import json

import pytest
from chain import run
from endpoint_cases import KEY, NOWHERE, VARIABLE, Asked, answer
from faulty_proxy import Fault, faulty
from fdistill.sampling.endpoint import asking

SAMPLED = ["--temperature", 1, "--concurrency", 1]


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.01)
    return Asked(tmp_path, rows=3)


def test_outputs_that_came_are_not_left_out_with_those_that_are_refused(asked):
    refused = Fault(400, text="too long")

    def some(_, body):
        row = [asked.source(row) for row in range(3)].index(body["messages"][0]["content"])
        return [answer("a", "b"), answer("c") if "n" in body else refused, refused][row]

    flags = ["--outputs", 2, *SAMPLED, "--leave-out-missing"]
    with faulty(NOWHERE, some) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, *flags[:-1]), fails=True)
        assert "2 of 3 rows have no output, or too few (1): 2 for status 400" in said
        run("query_endpoint", *asked.arguments(proxy.url, *flags))
    assert [(row["id"], row["text"]) for row in asked.rows()] == [("train0", "a"), ("train0", "b"), ("train1", "c")]
    record = asked.record()
    assert record["missing"] == {"train2": "status 400: too long"} and record["outputs"] == 3
    assert record["incomplete"] == {"train1": "status 400: too long"}


def test_a_file_in_which_all_is_refused_is_not_written(asked):
    with faulty(NOWHERE, lambda *_: Fault(400, text="no")) as proxy:
        flags = ["--leave-out-missing", "--max-examples", 2]
        said = run("query_endpoint", *asked.arguments(proxy.url, *flags), fails=True)
    assert "2 of 2 rows have no output: 2 for status 400" in said and not asked.output.exists()


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "train2", "text": "mine"}',
        '{"id": "train0", "source": "SOURCE", "text": "corrected", "finished": true}',
        '{"id": "other", "text": "a"}',
        '{"id": ["train0"]}',
        "[]",
        "",
        "a text",
    ],
)
def test_a_line_that_is_no_answer_is_not_removed(asked, line):
    with faulty(NOWHERE, lambda *_: answer("a")) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--max-examples", 2))
        run("query_endpoint", *asked.arguments(proxy.url, "--max-examples", 1))  # fewer rows are no loss
        own = asked.output.read_text() + line.replace("SOURCE", asked.source(0)) + "\n"
        asked.output.write_text(own)
        said = run("query_endpoint", *asked.arguments(proxy.url), fails=True)
    assert f"{asked.output}, line 2: is none of the answers in {asked.answers}" in said and "Traceback" not in said
    assert asked.output.read_text() == own and len(proxy.requests) == 2


def test_answers_that_were_moved_do_not_take_the_outputs_with_them(asked):
    with faulty(NOWHERE, lambda *_: answer("a")) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--max-examples", 1))
        asked.answers.unlink()
        said = run("query_endpoint", *asked.arguments(proxy.url, "--max-examples", 1), fails=True)
    assert "line 1: is none of the answers" in said and len(asked.rows()) == 1


def test_unusable_answers_whose_tokens_nobody_counts_make_the_cost_unknown(asked):
    """An answer that is refused before anything is computed is not paid for."""
    faults = [answer(""), Fault(text='{"choices": []}'), Fault(text="torn"), Fault(500, text="")]
    counted = {"prompt_tokens": 3, "completion_tokens": 1}

    def fault(number, _):
        return faults[number] if number < len(faults) else answer("a", usage=counted)

    with faulty(NOWHERE, fault) as proxy:
        prices = ["--input-price", 1, "--output-price", 1, "--retries", 9]
        run("query_endpoint", *asked.arguments(proxy.url, *SAMPLED, *prices, "--max-examples", 1))
    record = asked.record()
    assert record["cost"] is None and record["cost_unknown"].startswith("3 answers do not say how many tokens")
    assert record["completion_tokens"] == 1 and record["requests"] == 5


def test_json_is_utf_8_whatever_the_headers_say(asked):
    latin = {"Content-Type": "application/json; charset=latin-1"}
    with faulty(NOWHERE, lambda *_: answer("žába", headers=latin)) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--max-examples", 1))
    assert [row["text"] for row in asked.rows()] == ["žába"]


def test_what_models_think_in_their_outputs_is_counted(asked, capsys):
    with faulty(NOWHERE, lambda number, _: answer("<think>Is it?</think>Yes" if number else "Yes")) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--max-examples", 3, "--concurrency", 1))
    assert asked.record()["thinking"] == 2 and "2 outputs contain what the model thinks" in capsys.readouterr().err


def test_one_answer_without_log_probabilities_is_made_again(asked):
    entry = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "a", "logprob": -0.5}]}

    def fault(number, _):
        return answer("a", logprobs=None if number == 1 else {"content": [entry]})

    with faulty(NOWHERE, fault) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, *SAMPLED, "--log-probs", 1, "--max-examples", 3))
    assert len(proxy.requests) == 4 and asked.record()["faults"] == {"no log-probabilities": 1}


def test_the_key_as_the_name_of_a_model_is_written_nowhere(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, KEY)
    answers = [Fault(text=json.dumps({"model": f"{model} {KEY}", "choices": [{"message": {"content": "a"}}]}))
               for model in ("one", "two")]  # fmt: skip
    with faulty(NOWHERE, lambda number, _: answers[number % 2]) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url))
    assert "one ***" in capsys.readouterr().err
    assert sorted(asked.record()["answered_by"]) == ["one ***", "two ***"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
