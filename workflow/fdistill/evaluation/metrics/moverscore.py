"""MoverScore: how far the words of one text have to travel to become the other's, in an encoder's space."""

import string
from collections import Counter
from collections.abc import Iterable
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

from fdistill.evaluation.metrics import encoders
from fdistill.evaluation.metrics.score import Score
from fdistill.runtime.progress import Progress

if TYPE_CHECKING:  # every script knows the metrics; numpy is imported by those that compute this one
    import numpy as np

BATCH_SIZE = 64
PUNCTUATION = frozenset(string.punctuation)

OPTIONS = {"model": encoders.MODEL}

Weights = dict[int, float]  # of token ids


class Words(NamedTuple):
    """The tokens of a text that count: their ids, (T,), and their vectors of length 1, (T, D)."""

    ids: list[int]
    vectors: "np.ndarray"


def moverscore(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Mean over inputs of MoverScore, x 100, as the authors' second version computes it.

    1 - EMD between hypothesis and reference: words are the encoder's last layer at word-initial tokens, normalised
    to length 1 and a Euclidean distance apart; a word weighs log((N + 1) / (df + 1)), df of N texts having it,
    counted among the hypotheses and among the references apart. Special tokens, word pieces (`##`) and punctuation
    weigh nothing. Texts are cut at the encoder's positions.

    With several references the best one counts, and all of them enter N. A text whose words all weigh nothing
    (every text has them, as when a system always answers the same) has them weigh alike; a text without words
    scores 0. Option `model`: an encoder with a WordPiece vocabulary, as DistilBERT's, named as `encoders` says.

    Raises `MetricMissing` when the encoder is not to be had. Source: Zhao et al. 2019.
    """
    example = '{"moverscore": {"model": "distilbert-base-uncased"}}'
    model = encoders.model_option("moverscore", options, example)
    of_references = [text for several in references for text in several]
    ids, words = _encoded(model, dict.fromkeys([*hypotheses, *of_references]))
    weights = _inverse_frequencies(ids[text] for text in hypotheses)
    reference_weights = _inverse_frequencies(ids[text] for text in of_references)
    total = sum(
        max(_score(words[hypothesis], weights, words[text], reference_weights) for text in several)
        for hypothesis, several in zip(hypotheses, references, strict=True)
    )
    parts = ["MoverScore-2", model, "layer:last", "idf:each-side", "refs:best", "no-words:0"]
    signature = "|".join([*parts, *encoders.versions(model, "POT", "torch")])
    return Score(100 * total / len(hypotheses), signature)


def _encoded(model: str, texts: Iterable[str]) -> tuple[dict[str, list[int]], dict[str, Words]]:
    """Each text's token ids, special ones included, and its words."""
    import numpy as np
    import torch

    tokenizer, encoder = encoders.load("moverscore", model, "AutoModel", pooled=False)
    limit = encoders.longest(tokenizer, encoder.config)
    ids = {text: tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in texts}
    words = {}
    progress = Progress("MoverScore texts", len(ids))
    for batch in encoders.batches(ids, BATCH_SIZE, length=lambda text: len(ids[text])):
        inputs = tokenizer.pad({"input_ids": [ids[text] for text in batch]}, return_tensors="pt")
        with torch.inference_mode():
            states = encoder(**inputs.to(encoder.device)).last_hidden_state.cpu().numpy()  # (B, T, D)
        for text, vectors in zip(batch, states, strict=True):
            places = _word_places(tokenizer, ids[text])
            vectors = vectors[places]
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            words[text] = Words([ids[text][place] for place in places], vectors)
        progress.advance(len(batch))
    progress.close()
    return ids, words


def _word_places(tokenizer: Any, ids: list[int]) -> list[int]:
    """Where the tokens are that begin a word (one that the vocabulary lacks is a word too)."""
    special = tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
    tokens = enumerate(tokenizer.convert_ids_to_tokens(ids))
    unknown = tokenizer.unk_token
    return [
        place
        for place, token in tokens
        if (not special[place] or token == unknown) and "##" not in token and token not in PUNCTUATION
    ]


def _inverse_frequencies(texts: Iterable[list[int]]) -> Weights:
    texts = [set(ids) for ids in texts]
    frequencies = Counter(id_ for ids in texts for id_ in ids)
    return {id_: log((len(texts) + 1) / (count + 1)) for id_, count in frequencies.items()}


def _score(hypothesis: Words, weights: Weights, reference: Words, reference_weights: Weights) -> float:
    from ot import emd2
    from scipy.spatial.distance import cdist

    if not (hypothesis.ids and reference.ids):
        return 0.0
    distances = cdist(hypothesis.vectors, reference.vectors)  # in float64
    return 1 - emd2(_shares(hypothesis.ids, weights), _shares(reference.ids, reference_weights), distances)


def _shares(ids: list[int], weights: Weights) -> "np.ndarray":
    """The weights of the words, summing to 1."""
    import numpy as np

    shares = np.array([weights[id_] for id_ in ids])
    return shares / shares.sum() if shares.any() else np.full(len(ids), 1 / len(ids))
