"""The faults of endpoints: a proxy has them, before a real server."""

import socket

import llama_server
import pytest
from chain import run
from endpoint_cases import ROWS, Asked
from faulty_proxy import Fault, faulty
from fdistill.sampling.endpoint import asking, client, store


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    llama_server.write_model(path)
    with llama_server.serving(path) as url:
        yield url


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.01)
    return Asked(tmp_path)


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """The file of a run without faults."""
    asked = Asked(tmp_path_factory.mktemp("whole"))
    run("query_endpoint", *asked.arguments(f"{server}/v1"))
    return asked.output.read_bytes()


def no_choices(answer):
    answer["choices"] = []


def empty(answer):
    answer["choices"][0]["message"]["content"] = ""


def filtered(answer):
    answer["choices"][0]["finish_reason"] = "content_filter"


def no_usage(answer):
    del answer["usage"]


PASSING = {
    "status 429": Fault(429, text='{"error": {"message": "slow down"}}'),
    "status 500": Fault(500, text="<html>oops</html>"),
    "status 503": Fault(503, text=""),
    "status 408": Fault(408, text="null"),
    "connection": Fault(resets=True),
    "connection ": Fault(half=True),
    "timeout": Fault(silent=1.5),
    "no JSON": Fault(torn=True),
    "no JSON ": Fault(text=""),
    "no choices": Fault(edit=no_choices),
    "no choices ": Fault(text='{"error": {"message": "overloaded"}}'),
    "no choices  ": Fault(text='{"choices": ["a"]}'),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_asked_again(asked, server, whole, name):
    with faulty(server, lambda number, _: PASSING[name] if number in (3, 5) else None) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--timeout", 1, "--concurrency", 1))
    assert asked.output.read_bytes() == whole and len(proxy.requests) == ROWS + 2
    record = asked.record()
    assert record["faults"] == {name.strip(): 2} and (record["requests"], record["retries"]) == (ROWS + 2, 2)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(402, text="pay"), "no money left"),
        (Fault(403, text="no"), "no right"),
        (Fault(404, text='{"error": {"message": "no such model: tiny"}}'), "no such model: tiny; correct --url"),
        (Fault(501, text="not offered"), "not offered"),
        (Fault(308, {"Location": "https://elsewhere.org/v1"}, ""), "moved to https://elsewhere.org/v1"),
        (Fault(429, text='{"error": {"message": "spent", "code": "insufficient_quota"}}'), "spent; the account"),
    ],
)
def test_a_fault_of_every_request_ends_the_run_at_once(asked, server, whole, fault, words):
    with faulty(server, lambda number, _: fault if number >= 4 else None) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, "--concurrency", 2), fails=True)
    assert words in said and str(asked.answers) in said and "Traceback" not in said
    assert len(proxy.requests) <= 6 and not asked.output.exists()
    run("query_endpoint", *asked.arguments(f"{server}/v1"))  # what was answered is not lost
    assert asked.output.read_bytes() == whole and len(asked.lines()) <= ROWS + 2


def test_a_wrong_address_ends_the_run_at_once(asked, server):
    said = run("query_endpoint", *asked.arguments(f"{server}/v9"), fails=True)
    assert "status 404" in said and "--url" in said


def test_refused_rows_say_nothing_of_the_others_once_one_was_answered(asked, server, monkeypatch):
    """Also in a second run, which asks for nothing but them."""
    monkeypatch.setattr(asking, "ROWS_IN_SUCCESSION", 3)
    refuse = Fault(400, text='{"error": {"message": "too long"}}')
    for first in (1, 0):
        with faulty(server, lambda number, _, first=first: refuse if number >= first else None) as proxy:
            said = run("query_endpoint", *asked.arguments(proxy.url, "--concurrency", 1), fails=True)
        assert f"{ROWS - 1} of {ROWS} rows have no output" in said and len(proxy.requests) == ROWS - 1 + first
    with faulty(server, lambda *_: refuse) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--leave-out-missing"))
    assert [row["id"] for row in asked.rows()] == ["train0"] and len(asked.record()["missing"]) == ROWS - 1


def test_settings_that_no_row_is_answered_with_end_the_run(asked, server, monkeypatch):
    monkeypatch.setattr(asking, "ROWS_IN_SUCCESSION", 3)
    with faulty(server, lambda *_: Fault(400, text="unknown key")) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, "--concurrency", 1), fails=True)
    assert "3 rows in succession got no usable answer" in said and "unknown key" in said and len(proxy.requests) == 3


def test_rows_that_could_not_be_asked_for_are_not_left_out(asked, server):
    with faulty(server, lambda number, _: Fault(503, text="") if number == 2 else None) as proxy:
        flags = ["--leave-out-missing", "--retries", 0, "--concurrency", 1]
        said = run("query_endpoint", *asked.arguments(proxy.url, *flags), fails=True)
    assert "1 for status 503 (train2)" in said and "--leave-out-missing" not in said and not asked.output.exists()


@pytest.mark.parametrize(
    ("url", "proxy", "words"),
    [
        ("http://127.0.0.1:9/v1", None, "cannot connect to 127.0.0.1, port 9: "),
        ("https://no-such-host.invalid/v1", None, "cannot connect to no-such-host.invalid, port 443: "),
        ("http://no-such-host.invalid/v1", "me:pw-1234@127.0.0.1:9", "port 80, by the proxy http://***@127.0.0.1:9 ("),
    ],
)
def test_a_host_that_cannot_be_reached_ends_the_run_at_once(asked, monkeypatch, url, proxy, words):
    if proxy is not None:
        monkeypatch.setenv("http_proxy", proxy)
    said = run("query_endpoint", *asked.arguments(url, "--concurrency", 1), fails=True)
    assert words in said and "All connection attempts failed" not in said and "pw-1234" not in said
    assert "is the server running? start it, or correct --url, and run the same command again" in said
    assert len(asked.lines()) == 1


def test_a_host_that_can_no_longer_be_reached_is_asked_again(asked, server, monkeypatch):
    monkeypatch.setattr(asking, "ROWS_IN_SUCCESSION", 2)
    answered = client.Client.ask

    async def ask(self, body):
        try:
            return await answered(self, body)
        finally:
            self.address = "http://127.0.0.1:9/v1"

    monkeypatch.setattr(client.Client, "ask", ask)
    arguments = asked.arguments(f"{server}/v1", "--retries", 1, "--concurrency", 1)
    said = run("query_endpoint", *arguments, fails=True)
    assert "2 rows in succession got no usable answer, the last one for connection: cannot connect to 127.0.0.1" in said
    assert "run again to go on, with more --retries or a lower --concurrency" in said and "running?" not in said
    assert [line["fault"] for line in asked.lines()] == [None, *["connection"] * 4]


def test_a_silent_host_cannot_be_reached(asked, monkeypatch):
    """Its backlog is full: nobody takes connections."""
    monkeypatch.setattr(client, "LONGEST_CONNECT", 0.2)
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        said = run("query_endpoint", *asked.arguments(url, "--concurrency", 4), fails=True)
    assert "connection: cannot connect to 127.0.0.1" in said


# --- rows that get no output


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(400, text='{"error": {"message": "too long"}}'), "status 400: too long"),
        (Fault(edit=filtered), "content filter"),
        (Fault(edit=empty), 'empty text: finish_reason is "length"'),
    ],
)
def test_rows_are_given_up_and_named_and_asked_for_again_by_the_next_run(asked, server, whole, fault, reason):
    with faulty(server, lambda number, _: fault if number in (4, 7) else None) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, "--concurrency", 1), fails=True)
    assert len(proxy.requests) == ROWS  # at temperature 0 the answer would be the same
    assert f"2 of {ROWS} rows have no output: 2 for {reason}" in said and "(train4, train7)" in said
    assert not asked.output.exists()
    with faulty(server) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url))
    assert len(proxy.requests) == 2 and asked.output.read_bytes() == whole
    # An answer that could not be used is paid for too.
    assert asked.record()["completion_tokens"] == 6 * (ROWS + (0 if fault.status else 2))


def test_a_sample_that_is_empty_is_sampled_again(asked, server):
    with faulty(server, lambda number, _: Fault(edit=empty) if number == 4 else None) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--temperature", 1))
    assert len(proxy.requests) == ROWS + 1 and asked.record()["faults"] == {"empty text": 1}


def test_a_request_that_fails_every_time_is_given_up_after_its_retries(asked, server):
    def fault(_, body):
        return Fault(503, text="") if body["messages"][0]["content"] == asked.source(5) else None

    with faulty(server, fault) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, "--retries", 3), fails=True)
    assert "1 of 12 rows have no output: 1 for status 503 (train5)" in said and len(proxy.requests) == ROWS + 3


def test_an_endpoint_without_log_probabilities_is_named(asked, server):
    def without(answer):
        answer["choices"][0]["logprobs"] = None

    with faulty(server, lambda *_: Fault(edit=without)) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, "--log-probs", 2, "--concurrency", 1), fails=True)
    assert "does not offer log-probabilities; leave out --log-probs" in said and len(proxy.requests) == 1


def test_a_cost_that_is_not_known_is_not_guessed(asked, server):
    with faulty(server, lambda number, _: Fault(edit=no_usage) if number == 2 else None) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, "--input-price", 1, "--output-price", 1))
    record = asked.record()
    assert record["cost"] is None and record["cost_unknown"].startswith("1 answers do not say how many tokens")


def test_a_full_disk_ends_the_run_with_one_message(asked, server, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, _):
            raise OSError(28, "No space left on device")

    opened = store.AnswerStore.__init__

    def full(self, *arguments):
        opened(self, *arguments)
        self._file = Full(self._file)

    monkeypatch.setattr(store.AnswerStore, "__init__", full)
    said = run("query_endpoint", *asked.arguments(f"{server}/v1"), fails=True)
    assert f"{asked.answers}: cannot be read or written (No space left on device)" in said
