"""A teacher behind an endpoint, from a server of llama.cpp to students, with unlabelled inputs, as a user does it."""

import json
import math

import llama_server
import pytest
import yaml
from chain import run
from fdistill.artifacts.files import read_json, read_parquet
from fdistill.data.schemas import SAMPLES, SPLIT
from fdistill.losses.divergences import LOG_ZERO
from fdistill.models.checkpoints import load
from fdistill.sampling.teacher_cache import TeacherCache
from snake import ROOT, planned, snakemake
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SIZES = {"train": 12, "dev": 4, "test": 5, "unlabelled": 7}
ASKED = ("train", "unlabelled", "test")
STARTS = {name: {"start": "init_student"} for name in ("seqkd", "kl")}
TASK = {
    "title": "Endpoint",
    "description": "Texts of a server",
    "source": {"kind": "files", "path": {split: f"{split}.csv" for split in SIZES}},
    "text": {"max_source_tokens": 24, "max_target_tokens": 16, "source_suffix": ""},  # as the endpoint's prompt
    "model": {
        "family": "gpt2",
        "teacher": {"outputs": {split: f"outputs/{split}.jsonl" for split in ASKED} | {"log_probs": True}},
        "student": {"init": "student"},
    },
    "training": {
        "predistill": {"learning_rate": 0.001, "epochs": 1},
        "distill": {"learning_rate": 0.01, "epochs": 2, "batch_size": 4, "evaluate_every": 1},
    },
    "decoding": {"max_new_tokens": 12},
    "metrics": ["bleu4"],
    "method_overrides": STARTS,
}
STUDY = {"tasks": ["endpoint"], "methods": ["mle", "seqkd", "kl"], "seeds": [1]}
SNAKEFILE = f"""
configfile: "config/study.yaml"
module fdistill:
    snakefile: "{ROOT / "Snakefile"}"
    config: config
use rule * from fdistill
"""
PREPARE = [f"results/endpoint/prepare/{split}.parquet" for split in ASKED]
RESULTS = [f"results/endpoint/{name}/seed1/{file}" for name in ("seqkd", "kl") for file in ("model", "risk.json")]


def tokenizer():
    """The server's own: a token per character, and one of two, into which the server's model may not merge them."""
    vocabulary = {token: number for number, token in enumerate(llama_server.TOKENS)}
    inner = Tokenizer(models.BPE(vocabulary, [tuple(llama_server.MERGED)]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    pad, eos = llama_server.SPECIAL
    inner.add_special_tokens(list(llama_server.SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, clean_up_tokenization_spaces=False, pad_token=pad, eos_token=eos
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project whose teacher has answered every input, and whose student begins with the teacher's own weights."""
    folder = tmp_path_factory.mktemp("endpoint")
    for split, size in SIZES.items():
        rows = [f"say {number} of {split},said {number % 3}" for number in range(size)]
        (folder / f"{split}.csv").write_text("\n".join(["source,target", *rows]) + "\n")
    llama_server.model().save_pretrained(folder / "student")
    tokenizer().save_pretrained(folder / "student")
    (folder / "config/tasks").mkdir(parents=True)
    (folder / "config/tasks/endpoint.yaml").write_text(yaml.safe_dump(TASK))
    (folder / "config/study.yaml").write_text(yaml.safe_dump(STUDY))
    (folder / "Snakefile").write_text(SNAKEFILE)
    workflow(folder, *PREPARE)
    (folder / "outputs").mkdir()
    llama_server.write_model(folder / "tiny.gguf")
    with llama_server.serving(folder / "tiny.gguf") as url:
        for split in ASKED:
            ask(folder, split, f"{url}/v1")
    return folder


def ask(folder, split, url):
    """Sample outputs of which about half end by themselves; a bias makes that likelier than the model does."""
    run(
        *("query_endpoint", "--split", folder / f"results/endpoint/prepare/{split}.parquet", "--url", url),
        *("--output", folder / f"outputs/{split}.jsonl", "--model", "tiny", "--api", "completions"),
        *("--prompt", "{source}", "--max-tokens", 12, "--temperature", 1, "--log-probs", 4),
        *("--extra", '{"logit_bias": [[1, 4]]}', "--key-variable", "NO_KEY"),
    )


def workflow(folder, *targets, check=True):
    given = ["-c1", "--snakefile", folder / "Snakefile"]
    return snakemake(*given, "--", *targets, directory=folder, check=check).stdout


def rows_of(folder, split):
    return [json.loads(line) for line in (folder / f"outputs/{split}.jsonl").read_text().splitlines()]


def test_students_learn_from_the_answers_for_labelled_and_unlabelled_inputs(folder):
    jobs = planned(snakemake("-n", "--snakefile", folder / "Snakefile", "--", *RESULTS, directory=folder).stdout)
    imported = {wildcards for rule, wildcards in jobs if rule == "import_log_probs"}
    assert imported == {"task=endpoint, split=train", "task=endpoint, split=unlabelled"}
    workflow(folder, *RESULTS)
    for split in ASKED:
        stored, _ = read_parquet(folder / f"results/endpoint/import_outputs/{split}.parquet", SAMPLES)
        prepared, _ = read_parquet(folder / f"results/endpoint/prepare/{split}.parquet", SPLIT)
        rows = rows_of(folder, split)
        assert stored["id"] == prepared["id"] == [row["id"] for row in rows]
        assert stored["finished"] == [row["finished"] for row in rows]
        for tokens, row in zip(stored["tokens"], rows, strict=True):
            if split != "test":  # with log-probabilities: the tokens are those that were sampled
                ids = [llama_server.token_id(token) for token in row["tokens"] if token]
                assert tokens == [*ids, *([1] if row["finished"] else [])]
    curve = [json.loads(line) for line in (folder / "results/endpoint/kl/seed1/train.jsonl").read_text().splitlines()]
    assert 0 <= curve[1]["loss"] < 1e-3  # the student's weights are the teacher's, and so are its distributions
    logs = (folder / "logs/endpoint/kl/seed1/distill.log").read_text()
    assert "an epoch: 12 labelled inputs, 7 unlabelled inputs" in logs
    weights = {}
    for name in ("seqkd", "kl"):
        manifest = read_json(folder / f"results/endpoint/{name}/seed1/model/manifest.json")
        assert "unlabelled" in manifest["inputs"]
        assert {entry["name"] for entry in manifest["contributions"]} == {"train.jsonl", "unlabelled.jsonl", "student"}
        weights[name] = load(folder / f"results/endpoint/{name}/seed1/model").model.module.transformer.wte.weight
    assert not weights["seqkd"].equal(weights["kl"])


def test_distributions_of_an_answer_are_those_of_the_server(folder):
    workflow(folder, "results/endpoint/import_outputs/unlabelled.parquet")
    stored, _ = read_parquet(folder / "results/endpoint/import_outputs/unlabelled.parquet", SAMPLES)
    cache = TeacherCache(folder / "results/endpoint/import_outputs/unlabelled.log_probs", {})
    for row, (tokens, given) in enumerate(zip(stored["tokens"], rows_of(folder, "unlabelled"), strict=True)):
        found = cache.distributions(row, len(tokens))
        assert found["top_log_probs"].shape == (len(tokens), cache.top_k + 1)
        for position, token in enumerate(given["tokens"][: len(tokens)]):
            known = {LOG_ZERO}
            known |= set(given["top_log_probs"][position].values()) | {given["log_probs"][position]}
            for log_prob in found["top_log_probs"][position, :-1].tolist():
                assert min(abs(log_prob - value) for value in known) < 1e-3, (token, known)
        total = found["top_log_probs"].double().exp().sum(1)
        assert total.tolist() == pytest.approx([1] * len(tokens), abs=1e-3)
        if given["log_probs"]:
            assert stored["log_prob"][row] == pytest.approx(math.fsum(given["log_probs"]), abs=1e-3)


def test_inputs_without_an_answer_are_named(folder):
    rows = rows_of(folder, "unlabelled")
    file = folder / "outputs/some.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    results = folder / "results/endpoint"
    error = run(
        *("import_outputs", "--split", results / "prepare/unlabelled.parquet", "--outputs", file),
        *("--student", results / "init_student/model", "--samples", folder / "x.parquet", "--task", "endpoint"),
        *("--max-source-tokens", 24, "--max-target-tokens", 16),
        fails=True,
    )
    assert "has no output for 1 of 7 inputs" in error and "write their lines yourself" in error
