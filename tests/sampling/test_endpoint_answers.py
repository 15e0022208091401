"""Answers of endpoints that are not as they should be: what is kept, what is a fault, and that no key is repeated."""

import json

import pytest
from fdistill.sampling.endpoint.answer import read_answer
from fdistill.sampling.endpoint.faults import Fault, Then, fault_of_status
from fdistill.sampling.endpoint.query import Query

KEY = "sk-planted-0123456789"
GREEDY = Query("completions", "m", "{source}", settings={"temperature": 0})
LIKELY = Query("completions", "m", "{source}", log_probs=1)
GOOD = {"tokens": ["a", " b"], "token_logprobs": [-0.5, -1.0], "top_logprobs": [{"a": -0.5}, {" b": -1.0}]}


def answer(*choices, **more):
    return json.dumps({"choices": [{"text": "a b", "finish_reason": "stop", **choice} for choice in choices], **more})


@pytest.mark.parametrize(
    "usage",
    [
        [1],
        "many",
        {"prompt_tokens": 3},
        *({"prompt_tokens": 3, "completion_tokens": wrong} for wrong in (-1, True, 2.5, None, "4", 10**40)),
    ],
)
def test_a_count_of_tokens_that_is_none_is_not_known(usage):
    assert read_answer(answer({}, usage=usage), GREEDY, has_worked=False).usage is None
    with pytest.raises(Fault) as error:
        read_answer(answer({"text": ""}, usage=usage), GREEDY, has_worked=False)
    assert error.value.usage is None


def test_a_count_of_tokens_has_nothing_else():
    usage = {"prompt_tokens": 3, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 1}}
    assert read_answer(answer({}, usage=usage), GREEDY, has_worked=False).usage == {
        "prompt_tokens": 3,
        "completion_tokens": 0,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token_logprobs": [-0.5, 0.3]}, "the log-probability of ' b' is 0.3"),
        ({"token_logprobs": [-0.5, float("nan")]}, "the log-probability of ' b' is nan"),
        ({"token_logprobs": [-0.5, float("inf")]}, "the log-probability of ' b' is inf"),
        ({"token_logprobs": [-0.5, 10**400]}, "the log-probability of ' b' is 1000"),
        ({"token_logprobs": [-0.5, True]}, "the log-probability of ' b' is True"),
        ({"top_logprobs": [{"a": -0.5}, {" b": -1.0, "c": 2}]}, "the log-probability of 'c' is 2"),
        ({"top_logprobs": [{"a": -0.5, "b": -0.1}, {}]}, "token 1, 'a': its probabilities add up to 1.511"),
        ({"tokens": ["a", 3]}, "'tokens' is not a list of texts"),
    ],
)
def test_log_probabilities_that_a_task_would_refuse_are_refused_at_once(changes, words):
    with pytest.raises(Fault, match="wrong log-probabilities") as error:
        read_answer(answer({"logprobs": GOOD | changes}), LIKELY, has_worked=True)
    assert words in error.value.said and error.value.then is Then.AGAIN and error.value.is_of_row


def test_any_log_probability_of_nothing_is_the_same():
    logprobs = GOOD | {"top_logprobs": [{"a": -0.5, "c": -3.4e38}, {" b": -1.0, "d": -(10**400)}]}
    [output] = read_answer(answer({"logprobs": logprobs}), LIKELY, has_worked=False).outputs
    assert output["top_log_probs"] == [{"a": -0.5, "c": -9999.0}, {" b": -1.0, "d": -9999.0}]


@pytest.mark.parametrize("name", ["\ufffd", "the"])  # a part of a character, and a word with and without its blank
def test_of_tokens_with_one_name_the_sampled_one_is_its_own(name):
    tops = [{"token": name, "logprob": nats} for nats in (-1.0, -3.0)]
    content = {"content": [{"token": name, "logprob": -3.0, "top_logprobs": tops}]}
    [output] = read_answer(answer({"logprobs": content}), LIKELY, has_worked=False).outputs
    assert output["log_probs"] == [-3.0] and output["top_log_probs"] == [{name: -3.0}]


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"others": []}])
@pytest.mark.parametrize("is_repeatable", [True, False])
def test_missing_log_probabilities_are_the_rows_fault_once_the_endpoint_gave_some(logprobs, is_repeatable):
    query = Query("completions", "m", "{source}", log_probs=1, seed=3 if is_repeatable else None)
    for has_worked, then in ((False, Then.STOP), (True, Then.NEXT if is_repeatable else Then.AGAIN)):
        with pytest.raises(Fault, match="no log-probabilities") as error:
            read_answer(answer({"logprobs": logprobs}), query, has_worked)
        assert error.value.then is then and error.value.is_of_row == has_worked
        kept = read_answer(answer({"logprobs": logprobs}, {"logprobs": GOOD}), query, has_worked)
        assert len(kept.outputs) == 1


def test_half_of_a_surrogate_pair_and_nul_are_no_text():
    logprobs = GOOD | {"tokens": ["a", "\ud83d"]}
    for choice in ({"text": "a \ud83d", "logprobs": GOOD}, {"logprobs": logprobs}, {"text": "a\0b", "logprobs": GOOD}):
        with pytest.raises(Fault, match="broken text") as error:
            read_answer(answer(choice), LIKELY, has_worked=False)
        assert error.value.is_of_row


def test_an_empty_text_at_the_limit_has_the_remedy():
    for reason, has_remedy in (("length", True), ("stop", False), (["length"], False)):
        with pytest.raises(Fault, match="empty text") as error:
            read_answer(answer({"text": "", "finish_reason": reason}), GREEDY, has_worked=False)
        assert ("raise --max-tokens" in error.value.said) == has_remedy


def test_what_an_endpoint_repeats_of_the_key_is_hidden_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("ANY_KEY", KEY)
    assert read_answer(answer({}, model=f"m {KEY}"), GREEDY, has_worked=False).model == "m ***"
    faults = [
        fault_of_status(308, {"location": f"https://h/{KEY}"}, ""),
        fault_of_status(400, {}, json.dumps({"error": {"message": f"bad {KEY}", "code": KEY}})),
        fault_of_status(500, {}, f"bad {KEY}"),
    ]
    texts = [f"<p>{KEY}</p>", json.dumps({"a": KEY}), json.dumps({"choices": [KEY]})]
    texts += [answer({"text": "", "finish_reason": KEY}), answer({"text": "", "finish_reason": {"why": KEY}})]
    texts += [
        answer({"logprobs": {KEY: 1}}),
        answer({"logprobs": GOOD | {"tokens": ["a", KEY], "top_logprobs": [1, 2]}}),
    ]
    texts += [answer({"logprobs": GOOD | {"tokens": ["a", KEY], "token_logprobs": [-0.5, 1]}})]
    for text in texts:
        with pytest.raises(Fault) as error:
            read_answer(text, LIKELY, has_worked=False)
        faults.append(error.value)
    assert not [fault for fault in faults if KEY in str(fault)] and all("***" in str(fault) for fault in faults)


def test_what_an_endpoint_says_cannot_control_a_terminal():
    fault = fault_of_status(400, {}, json.dumps({"error": {"message": "\x1b[2Jgone\ud800"}}))
    assert fault.said == "\\u001b[2Jgone\\ud800"
