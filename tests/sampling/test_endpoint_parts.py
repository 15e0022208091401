"""What is asked of an endpoint, what its answers mean, and the file that keeps them, without an endpoint."""

import json
import math
import sys
import time
from email.utils import formatdate

import pytest
from chain import run
from endpoint_cases import Asked
from fdistill.runtime.errors import UserError
from fdistill.sampling.endpoint.answer import read_answer
from fdistill.sampling.endpoint.client import Client, checked_url, read_key
from fdistill.sampling.endpoint.faults import Fault, Then, wait_of
from fdistill.sampling.endpoint.query import Query
from fdistill.sampling.endpoint.store import AnswerStore

TOKENS = ["a", " b"]
NATS = [-0.5, -1.25]


def completion(logprobs):
    return json.dumps({"choices": [{"text": "a b", "finish_reason": "stop", "logprobs": logprobs}]})


def test_log_probabilities_of_completions_in_parallel_lists():
    """The form of the original interface, which vLLM has too; llama.cpp's completions have that of chats."""
    top = [{"a": -0.5, "c": -1.0}, {"c": -math.inf, " b": -1.25}]
    content = completion({"tokens": TOKENS, "token_logprobs": NATS, "top_logprobs": top, "text_offset": [0, 1]})
    (output,) = read_answer(content, Query("completions", "m", "{source}", log_probs=2), has_worked=False).outputs
    assert output["tokens"] == TOKENS and output["log_probs"] == NATS
    assert output["top_log_probs"] == [{"a": -0.5, "c": -1.0}, {" b": -1.25, "c": -9999.0}]
    json.dumps(output, allow_nan=False)


def test_of_tokens_with_one_name_the_likeliest_counts():
    tops = [{"token": "\ufffd", "logprob": nats} for nats in (-2.0, -1.0, -3.0)]
    content = {"content": [{"token": "\ufffd", "logprob": -1.0, "top_logprobs": tops}]}
    (output,) = read_answer(
        completion(content), Query("completions", "m", "{source}", log_probs=3), has_worked=False
    ).outputs
    assert output["top_log_probs"] == [{"\ufffd": -1.0}]


@pytest.mark.parametrize(
    "logprobs",
    [
        {"tokens": TOKENS, "token_logprobs": NATS[:1], "top_logprobs": [{}, {}]},
        {"tokens": TOKENS, "token_logprobs": [None, -1.0], "top_logprobs": [{}, {}]},
        {"content": [{"token": "a"}]},
        {"content": None},
        {"others": []},
        [1],
    ],
)
def test_log_probabilities_of_no_known_form(logprobs):
    with pytest.raises(Fault, match="in no known form") as error:
        read_answer(completion(logprobs), Query("completions", "m", "{source}", log_probs=1), has_worked=False)
    assert error.value.then is Then.STOP


def test_a_prompt_is_a_text_and_no_format():
    query = Query("chat", "m", 'As {"json": "{source}"}:', "{x}")
    assert query.body("{x} {source}", 1, 0)["messages"] == [
        {"role": "system", "content": "{x}"},
        {"role": "user", "content": 'As {"json": "{x} {source}"}:'},
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--prompt", "Summarise:"], "--prompt: has no {source}"),
        (["--api", "completions", "--system", "a"], "--system: --api completions has no place for it"),
        (["--extra", '{"n": 3}'], "--extra: n: set by this script"),
        (["--extra", '{"temperature": 1}'], "--extra: temperature: has a flag of its own"),
        (["--outputs", "2"], "with --temperature 0 all outputs"),
        (["--url", "localhost:8000/v1"], "--url 'localhost:8000/v1': is no address"),
        (["--url", "http://h/v1/chat/completions"], "names an interface"),
        (["--url", "http://h\x1b[1m/v1"], "--url 'http://h\\u001b[1m/v1': is no address"),
        (["--url", "http://a host/v1"], "--url 'http://a host/v1': is no address"),
        (["--url", "http://999.1.1.1/v1"], "is no address"),
        (["--url", "http://h:99999/v1"], "is no address"),
        (["--url", "http://h/\udce9"], "--url 'http://h/\\udce9': is no address"),
        (["--system", "Answer {source}"], "--system: has {source}, which stands for the input in the prompt only"),
        (["--prompt", "caf\udce9 {source}"], "--prompt: is not UTF-8"),  # how Python reads Latin-1 in an argument
        (["--system", "caf\udce9"], "--system: is not UTF-8"),
        (["--model", "caf\udce9"], "--model: is not UTF-8"),
        (["--extra", '{"stop": "\\ud800"}'], "--extra: is not UTF-8"),
        (["--extra", '{"a": [1e999]}'], "--extra: has a number that is not finite"),
    ],
)
def test_mistakes_are_refused_before_anything_is_asked(tmp_path, changes, words):
    asked = Asked(tmp_path)
    said = run("query_endpoint", *asked.arguments("http://127.0.0.1:9/v1", *changes), fails=True)
    assert words in said and not asked.answers.exists()


@pytest.mark.parametrize(
    "url", ["https://me:pw-1234@h/v1", "https://h/v1?key=pw-1234", "https://pw-1234@h", "h#pw-1234"]
)
def test_an_address_with_a_password_is_refused_without_showing_it(url):
    with pytest.raises(UserError, match="--key-variable") as error:
        checked_url(url)
    assert "pw-1234" not in str(error.value)


def test_a_variable_whose_value_logs_would_show_is_refused(tmp_path, capsys):
    arguments = Asked(tmp_path).arguments("http://127.0.0.1:9/v1", "--key-variable", "LLAMA")
    run("query_endpoint", *arguments, fails=True)
    assert "'LLAMA' is no name by which logs know what to hide" in capsys.readouterr().err


def test_a_key_may_be_missing(monkeypatch):
    monkeypatch.setenv("ANY_KEY", " k-1234\n")
    assert (read_key("ANY_KEY"), read_key("NO_SUCH_KEY")) == ("k-1234", None)


def test_the_key_of_servers_without_one_is_sent(monkeypatch):
    monkeypatch.setenv("ANY_KEY", "EMPTY")
    assert read_key("ANY_KEY") == "EMPTY"


def test_a_key_that_logs_could_not_hide_is_refused(monkeypatch):
    monkeypatch.setenv("ANY_KEY", "k-123")
    with pytest.raises(UserError, match=r"ANY_KEY: has fewer than 6 characters, .* or unset it"):
        read_key("ANY_KEY")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALL_PROXY", "ftp://me:pw-1234@127.0.0.1:9", "a proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names"),
        ("HTTPS_PROXY", "http://[::1", "a proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names"),
        ("SSL_CERT_FILE", "/no/such/file", "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"),
    ],
)
def test_proxies_and_certificates_that_cannot_be_used(monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=words) as error:
        Client("http://h/v1", None, 1)
    assert "pw-1234" not in str(error.value)


def test_a_proxy_whose_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(UserError, match=r"names cannot be used .* install the package socksio"):
        Client("http://h/v1", None, 1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("7", 7),
        ("-1", 0),
        ("inf", None),
        (f"Fri, 27 Nov 2026 00:00:00 +{9 * 10**12}", None),
    ],
)
def test_the_wait_that_an_endpoint_asks_for(value, seconds):
    assert wait_of({"retry-after": value}) == seconds
    assert wait_of({"retry-after": formatdate(time.time() + 90, usegmt=True)}) == pytest.approx(90, abs=2)


# --- the file of answers

IDENTITY = {"model": "m", "prompt": "{source}"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


def text(words):
    return {"text": words, "finished": True}


def opened(path, identity=IDENTITY):
    return AnswerStore(path, identity, "http://h/v1")


def fill(path, count=3):
    store = opened(path)
    for number in range(count):
        store.add(f"row{number}", False, [text(f"text {number}")], usage={"prompt_tokens": 2, "completion_tokens": 3})
    store.close()


def test_a_file_that_is_cut_anywhere_loses_only_what_is_cut(path):
    fill(path)
    whole = path.read_bytes()
    starts = [0, *(i + 1 for i, byte in enumerate(whole) if byte == 10)]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        complete = sum(start <= size for start in starts[1:])
        store = opened(path)
        assert sum(store.counts.values()) == max(0, complete - 1)
        store.add("new", True, [text("new")])
        store.close()
        store = opened(path)
        assert store.outputs("new") == [text("new")] and store.retries == 1
        assert store.requests == max(0, complete - 1) + 1
        store.close()


def test_a_damaged_line_is_asked_for_again(path, caplog):
    fill(path)
    lines = path.read_bytes().splitlines(True)
    lines[2] = lines[2].replace(b'"row1"', b'"row1')
    path.write_bytes(b"".join(lines))
    store = opened(path)
    assert dict(store.counts) == {"row0": 1, "row2": 1} and "line 3 is damaged" in caplog.text
    assert store.outputs("row2") == [text("text 2")] and store.usage["completion_tokens"] == 6
    store.close()


@pytest.mark.parametrize("line", [b'{"text": "a"}', b'{"text": "a", "finished": 1}'])
def test_an_output_that_is_not_complete_is_asked_for_again(path, caplog, line):
    fill(path)
    path.write_bytes(path.read_bytes().replace(b'{"text": "text 1", "finished": true}', line))
    store = opened(path)
    assert dict(store.counts) == {"row0": 1, "row2": 1} and "line 3 is damaged" in caplog.text
    store.close()


@pytest.mark.parametrize("text", ["id,text\n1,a\n", "one line without an end", "{}"])
def test_a_file_of_something_else_is_refused_and_kept(path, text):
    path.write_text(text)
    with pytest.raises(UserError, match="is no file of answers"):
        opened(path)
    assert path.read_text() == text


def test_faults_of_other_requests_are_not_in_the_way(path):
    store = opened(path, IDENTITY | {"model": "wrong"})
    store.add("row0", False, [], fault="status 404", said="no such model", computed=False)
    store.close()
    store = opened(path)
    assert not store.faults and not store.requests
    store.add("row0", False, [text("a")])
    store.close()
    store = opened(path)
    assert store.outputs("row0") == [text("a")] and store.requests == 1
    store.close()
    with pytest.raises(UserError, match=r"has answers to other requests \(model\)"):
        opened(path, IDENTITY | {"model": "wrong"})


@pytest.mark.parametrize(
    "paid", [{"computed": True}, {"computed": False, "usage": {"prompt_tokens": 2, "completion_tokens": 0}}]
)
def test_faults_that_were_paid_for_are_kept(path, paid):
    store = opened(path, IDENTITY | {"model": "wrong"})
    store.add("row0", False, [], fault="empty text", said="", **paid)
    store.close()
    with pytest.raises(UserError, match=r"has answers to other requests \(model\)"):
        opened(path)


def test_two_runs_do_not_ask_at_once(path):
    store = opened(path)
    with pytest.raises(UserError, match="another run writes its answers here"):
        opened(path)
    store.close()
    opened(path).close()
