"""Outputs from an endpoint: a llama.cpp server with a real, tiny model, on the loopback."""

import os
import re
import signal

import killing
import llama_server
import pyarrow.parquet as pq
import pytest
import torch
from chain import run
from endpoint_cases import KEY, ROWS, VARIABLE, Asked
from faulty_proxy import Fault, faulty
from fdistill.data.encoding import rows_of

CLOSE = 0.01  # nats; llama.cpp computes some of the model in 16 bits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    llama_server.write_model(path)
    return path


@pytest.fixture(scope="module")
def server(model):
    with llama_server.serving(model, KEY) as url:
        yield url


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, KEY)
    return Asked(tmp_path)


@pytest.fixture(params=["chat", "completions"])
def api(request):
    return request.param


def prompt_ids(api: str, source: str) -> list[int]:
    """The tokens of the whole prompt, without the library and the server's chat template."""
    if api == "completions":
        return llama_server.tokens_of(f"say {source}!")
    start, end = range(2)
    ids = []
    for role, text in (("system", "be brief"), ("user", f"say {source}!")):
        ids += [start, *llama_server.tokens_of(f"{role}\n{text}"), end, *llama_server.tokens_of("\n")]
    return [*ids, start, *llama_server.tokens_of("assistant\n")]


@torch.no_grad
def test_texts_and_log_probabilities_are_the_models_own(asked, server, api):
    system = ["--system", "be brief"] if api == "chat" else []
    flags = ["--api", api, "--prompt", "say {source}!", *system, "--log-probs", 3]
    run("query_endpoint", *asked.arguments(f"{server}/v1", *flags))
    split, rows = pq.read_table(asked.split).to_pydict(), asked.rows()
    assert [row["id"] for row in rows] == split["id"] and len(rows) == ROWS
    gpt2 = llama_server.model().double()
    for row, source in zip(rows, split["source"], strict=True):
        ids, wanted, tops = prompt_ids(api, source), [], []
        for _ in range(6):
            log_probs = gpt2(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            values, best = log_probs.topk(3)
            wanted.append(values[0].item())
            tops.append(values.tolist())
            ids.append(best[0].item())
        text = "".join(llama_server.TOKENS[token] for token in ids[-6:] if token > 1)
        assert row["text"] == text.replace("Ġ", " ").replace("Ċ", "\n") == "".join(row["tokens"])
        assert row["finished"] is False  # or the wanted log-probabilities would be too many
        assert row["log_probs"] == pytest.approx(wanted, abs=CLOSE)
        assert [list(top.values()) for top in row["top_log_probs"]] == [pytest.approx(top, abs=CLOSE) for top in tops]


def test_outputs_that_end_by_themselves_are_finished_and_empty_ones_are_left_out(asked, server):
    """The model hardly ends by itself; a bias makes that likelier."""
    flags = ["--extra", '{"logit_bias": [[1, 4]]}', "--temperature", 1, "--seed", 3, "--max-tokens", 40]
    flags += ["--concurrency", 1]
    said = run("query_endpoint", *asked.arguments(f"{server}/v1", *flags), fails=True)
    assert "empty text" in said and not asked.output.exists() and not asked.record_file.exists()
    run("query_endpoint", *asked.arguments(f"{server}/v1", *flags, "--leave-out-missing"))
    rows, record = asked.rows(), asked.record()
    assert all(row["finished"] == (len(row["text"]) < 40) for row in rows)
    assert 0 < sum(row["finished"] for row in rows) == len(rows) - record["unfinished"]
    assert {row["id"] for row in rows} | record["missing"].keys() == {f"train{row}" for row in range(ROWS)}
    assert all(f"{reason} ({row}" in said for row, reason in record["missing"].items())


def test_the_record_says_what_was_asked_and_what_it_cost(asked, server):
    flags = ["--prompt", "{source} {source}", "--input-price", 3, "--output-price", 5, "--max-examples", 4]
    run("query_endpoint", *asked.arguments(f"{server}/v1", *flags))
    record, sources = asked.record(), pq.read_table(asked.split).to_pydict()["source"]
    chosen = rows_of(ROWS, 4)
    assert [row["id"] for row in asked.rows()] == [f"train{row}" for row in chosen]
    around = len(prompt_ids("chat", "")) - len(llama_server.tokens_of("system\nbe brief\nsay !")) - 2
    prompt_tokens = sum(2 * len(sources[row]) + 1 + around for row in chosen)
    assert record["prompt_tokens"] == prompt_tokens and record["completion_tokens"] == 4 * 6
    assert record["cost"] == pytest.approx((3 * prompt_tokens + 5 * 24) / 1e6) and record["cost_unknown"] is None
    assert record["endpoints"] == [f"{server}/v1/chat/completions"] and record["model"] == "tiny"
    assert record["answered_by"][0].endswith("tiny.gguf") and record["query"]["prompt"] == "{source} {source}"
    assert record["query"]["settings"] == {"temperature": 0, "max_tokens": 6}
    assert (record["requests"], record["retries"], record["outputs"], record["faults"]) == (4, 0, 4, {})
    # More rows, and prices that were not given: what is there already is not asked for again.
    run("query_endpoint", *asked.arguments(f"{server}/v1", "--prompt", "{source} {source}"))
    assert asked.record()["requests"] == ROWS == len(asked.rows())
    assert asked.record()["cost"] is None and "--input-price" in asked.record()["cost_unknown"]


@pytest.mark.parametrize("per_request", [1, 2, 3])
def test_several_outputs_of_an_input(asked, server, per_request):
    with faulty(server) as proxy:
        flags = ["--outputs", 3, "--per-request", per_request, "--temperature", 1, "--seed", 5, "--concurrency", 1]
        run("query_endpoint", *asked.arguments(proxy.url, *flags))
    assert [row["id"] for row in asked.rows()] == [f"train{row}" for row in range(ROWS) for _ in range(3)]
    asked_for = [(body["seed"], body.get("n", 1)) for body in proxy.bodies]
    assert asked_for == {1: [(5, 1), (6, 1), (7, 1)], 2: [(5, 2), (7, 1)], 3: [(5, 3)]}[per_request] * ROWS
    assert len({row["text"] for row in asked.rows()}) > 2 * ROWS  # they are samples, and each has another seed


def test_more_outputs_are_added_to_those_that_are_there(asked, server):
    flags = ["--temperature", 1, "--seed", 5, "--concurrency", 1]
    run("query_endpoint", *asked.arguments(f"{server}/v1", *flags))
    first = [row["text"] for row in asked.rows()]
    with faulty(server) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url, *flags, "--outputs", 3))
    assert [(body["seed"], body["n"]) for body in proxy.bodies] == [(6, 2)] * ROWS
    assert [row["text"] for row in asked.rows()][::3] == first and asked.record()["outputs"] == 3 * ROWS


def test_an_endpoint_that_gives_fewer_outputs_is_asked_for_the_others(asked, server):
    def one(_, body):
        return Fault(edit=lambda answer: answer["choices"].__delitem__(slice(1, None)))

    with faulty(server, one) as proxy:
        flags = ["--outputs", 3, "--temperature", 1, "--max-examples", 2, "--concurrency", 1]
        run("query_endpoint", *asked.arguments(proxy.url, *flags))
    assert [body.get("n", 1) for body in proxy.bodies] == [3, 2, 1] * 2 and len(asked.rows()) == 6


# --- interrupted runs


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_goes_on_and_pays_once(asked, server, tmp_path, number):
    run("query_endpoint", *asked.arguments(f"{server}/v1"))
    whole = asked.output.read_bytes()
    for path in (asked.output, asked.answers, asked.record_file):
        path.unlink()

    log = tmp_path / "log"
    with faulty(server, lambda number, _: Fault(silent=0.15)) as proxy:
        arguments = asked.arguments(proxy.url, "--concurrency", 2, "--input-price", 1, "--output-price", 2)
        process = killing.start("query_endpoint", arguments, log)
        killing.wait_for(lambda: asked.answers.exists() and len(asked.answers.read_bytes().splitlines()) > 4, process)
        os.kill(process.pid, number)
        process.join()
        assert process.exitcode == (75 if number == signal.SIGTERM else -signal.SIGKILL), log.read_text()
        assert not asked.output.exists()
        said = re.search(r"stopped at \d+ of \d+ rows, cost [\d.e-]+; run again", log.read_text())
        assert (said is not None) == (number == signal.SIGTERM)
        if number == signal.SIGKILL:
            with asked.answers.open("ab") as file:
                file.write(b'{"id": "train')  # as a power cut leaves it
        before, answered = len(proxy.requests), [line["id"] for line in asked.lines()]
        assert 4 <= len(answered) < ROWS
        run("query_endpoint", *asked.arguments(proxy.url))
        repeated = before + len(proxy.requests[before:]) - ROWS
    assert len(proxy.requests[before:]) == ROWS - len(answered)
    assert repeated <= (2 if number == signal.SIGKILL else 0)  # what was on its way, and nobody could store
    assert asked.output.read_bytes() == whole
    assert sorted(line["id"] for line in asked.lines()) == sorted(f"train{row}" for row in range(ROWS))


def test_a_second_run_asks_nothing(asked, server):
    run("query_endpoint", *asked.arguments(f"{server}/v1"))
    whole = asked.output.read_bytes()
    asked.output.unlink()
    with faulty(server) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url))
    assert proxy.requests == [] and asked.output.read_bytes() == whole


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (["--model", "other"], "model"),
        (["--prompt", "Say {source}"], "prompt"),
        (["--system", "Be brief"], "system"),
        (["--temperature", "0.5"], "temperature"),
        (["--max-tokens", "7"], "max_tokens"),
        (["--log-probs", "1"], "log_probs"),
        (["--extra", '{"top_k": 3}'], "top_k"),
        (["--api", "completions"], "api"),
    ],
)
def test_answers_to_other_requests_are_not_mixed(asked, server, changes, key):
    run("query_endpoint", *asked.arguments(f"{server}/v1", "--max-examples", 1))
    kept = asked.answers.read_bytes()
    with faulty(server) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, *changes), fails=True)
    assert f"has answers to other requests ({key})" in said and "Traceback" not in said
    assert proxy.requests == [] and asked.answers.read_bytes() == kept


# --- the key


def everything_below(folder) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_key_is_sent_and_written_nowhere(asked, server, tmp_path):
    """Not even where the endpoint repeats it in an error, and in what a traceback or a debugging log would show."""
    log = tmp_path / "log"

    def repeats(number, _):
        return Fault(500, text=f'{{"error": {{"message": "Bearer {KEY} is busy"}}}}') if number == 0 else None

    with faulty(server, repeats) as proxy:
        assert killing.run("query_endpoint", asked.arguments(proxy.url), log) == 0, log.read_text()
        assert {headers["Authorization"] for _, headers, _, _ in proxy.requests} == {f"Bearer {KEY}"}
    refusal = Fault(401, text=f'{{"error": {{"message": "Incorrect key: {KEY}"}}}}')
    with faulty(server, lambda *_: refusal) as proxy:
        arguments = asked.arguments(proxy.url, "--output", tmp_path / "refused.jsonl")
        assert killing.run("query_endpoint", arguments, log) == 1
    assert "Incorrect key: ***" in log.read_text() and "is busy" in asked.answers.read_text()
    assert KEY.encode() not in everything_below(tmp_path)


def test_a_wrong_key_ends_the_run_at_once(asked, server, monkeypatch):
    monkeypatch.setenv(VARIABLE, "sk-wrong-0123456789")
    with faulty(server) as proxy:
        said = run("query_endpoint", *asked.arguments(proxy.url, "--concurrency", 2), fails=True)
    assert "status 401" in said and "--key-variable" in said and "sk-wrong" not in said
    assert len(proxy.requests) <= 2
    monkeypatch.setenv(VARIABLE, KEY)
    run("query_endpoint", *asked.arguments(f"{server}/v1"))
    assert len(asked.rows()) == ROWS


def test_a_local_server_needs_no_key(asked, model, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    with llama_server.serving(model) as url, faulty(url) as proxy:
        run("query_endpoint", *asked.arguments(proxy.url))
    assert all("Authorization" not in headers for _, headers, _, _ in proxy.requests)


@pytest.mark.parametrize("key", ["two words", "käse-0123456", "line\nline"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(asked, monkeypatch, key):
    monkeypatch.setenv(VARIABLE, key)
    said = run("query_endpoint", *asked.arguments("http://127.0.0.1:9/v1"), fails=True)
    assert f"{VARIABLE}: is no key" in said and key not in said
