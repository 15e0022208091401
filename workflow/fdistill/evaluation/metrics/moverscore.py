"""MoverScore: the least distance that the words of one text must move, in an encoder's space, to become the other's."""

import string
from collections import Counter
from collections.abc import Iterable
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

from fdistill.evaluation.metrics import encoders
from fdistill.evaluation.metrics.score import MetricMissing, Score, mean_score
from fdistill.runtime.progress import Progress

if TYPE_CHECKING:  # numpy is imported only when the metric is computed
    import numpy as np

BATCH_SIZE = 64
PUNCTUATION = frozenset(string.punctuation)
PIECE = "##"  # marks the tokens of WordPiece that continue a word

OPTIONS = {"model": encoders.MODEL}

Weights = dict[int, float]  # by token id


class Words(NamedTuple):
    """The tokens of a text that have weight: their ids (T,), and their vectors (T, D), of length 1."""

    ids: list[int]
    vectors: "np.ndarray"


def moverscore(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute the mean over inputs of MoverScore, x 100, as the authors' second version defines it.

    The score is 1 - EMD, the earth mover's distance between hypothesis and reference. A word's vector is the encoder's
    last layer at the first token of the word, scaled to length 1; distances are Euclidean. A word that occurs in df of
    N texts weighs log((N + 1) / (df + 1)), counted for hypotheses and references separately. Special tokens, word
    pieces (`##`) and punctuation have no weight. Texts are cut at the encoder's positions.

    With several references the best one counts, and all of them count for N. If all words of a text weigh 0, because
    every text has them, they weigh the same; a text without words scores 0. Option `model`: an encoder with a WordPiece
    vocabulary such as DistilBERT, named as in `encoders`.

    Raises MetricMissing when the encoder cannot be loaded, is of another kind or does not know the references' words.
    Source: Zhao et al. 2019.
    """
    example = '{"moverscore": {"model": "distilbert-base-uncased"}}'
    model = encoders.model_option("moverscore", options, example)
    all_references = [text for of_input in references for text in of_input]
    ids, words = _encoded(model, dict.fromkeys([*hypotheses, *all_references]), references)
    weights = _inverse_frequencies(ids[text] for text in hypotheses)
    reference_weights = _inverse_frequencies(ids[text] for text in all_references)
    # In replicates too, words weigh as in the whole split: the sum over inputs would otherwise not be one.
    best = [
        max(_score(words[hypothesis], weights, words[text], reference_weights) for text in of_input)
        for hypothesis, of_input in zip(hypotheses, references, strict=True)
    ]
    parts = ["MoverScore-2", model, "layer:last", "idf:each-side", "refs:best", "no-words:0"]
    signature = "|".join([*parts, *encoders.versions(model, "POT", "torch")])
    return mean_score(best, signature)


def _encoded(
    model: str, texts: Iterable[str], references: list[list[str]]
) -> tuple[dict[str, list[int]], dict[str, Words]]:
    """The token ids of each text, special ones included, and its words."""
    import numpy as np
    import torch

    tokenizer, encoder = encoders.load("moverscore", model, "AutoModel", pooled=False)
    if not any(token.startswith(PIECE) for token in tokenizer.get_vocab()):
        raise MetricMissing(
            f"MoverScore finds words by WordPiece's ## marks, and the vocabulary of the encoder '{model}' has none",
            "give an encoder with a WordPiece vocabulary, such as DistilBERT, as the option moverscore.model",
        )
    encoders.check_vocabulary("moverscore", model, tokenizer, references)
    limit = encoders.longest(tokenizer, encoder.config)
    ids = {text: tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in texts}
    words = {}
    progress = Progress("MoverScore texts", len(ids))
    for batch in encoders.batches(ids, BATCH_SIZE, length=lambda text: len(ids[text])):
        inputs = tokenizer.pad({"input_ids": [ids[text] for text in batch]}, return_tensors="pt")
        with torch.inference_mode():
            states = encoder(**inputs.to(encoder.device)).last_hidden_state.cpu().numpy()  # (B, T, D)
        for text, vectors in zip(batch, states, strict=True):
            places = _word_starts(tokenizer, ids[text])
            vectors = vectors[places]
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            words[text] = Words([ids[text][place] for place in places], vectors)
        progress.advance(len(batch))
    progress.close()
    return ids, words


def _word_starts(tokenizer: Any, ids: list[int]) -> list[int]:
    """The indices of tokens that begin a word; an unknown word counts as one."""
    special = tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
    tokens = enumerate(tokenizer.convert_ids_to_tokens(ids))
    unknown = tokenizer.unk_token
    return [
        place
        for place, token in tokens
        if (not special[place] or token == unknown) and PIECE not in token and token not in PUNCTUATION
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
