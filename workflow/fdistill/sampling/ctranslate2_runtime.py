"""A converted model in CTranslate2: it samples or searches sequences for sources, and scores sequences."""

from collections.abc import Mapping, Sequence
from typing import Any

from fdistill.sampling.ctranslate2_conversion import FLOAT32
from fdistill.sampling.modes import SEARCHES
from fdistill.sampling.sampler import SamplingConfig

# The token ids and the log-probability of one sequence; with truncation or a temperature, the runtime's own score.
ScoredSequence = tuple[list[int], float]


class Runtime:
    """A converted model, of `files` by name or else of a folder, whose vocabulary are the token ids as text.

    `prefix` are the tokens that the decoder is given after its start token, `ends` those that end a text. Raises one of
    `FAILURES` for a model that it cannot run.
    """

    def __init__(
        self,
        folder: str,
        files: Mapping[str, bytes] | None = None,
        *,
        is_encoder_decoder: bool,
        ends: Sequence[int],
        prefix: Sequence[int] = (),
        device: str = "cpu",
        device_index: int = 0,
        compute_type: str = FLOAT32,
        threads: int = 1,
    ):
        import ctranslate2

        self.is_encoder_decoder, self.prefix, self.ends = is_encoder_decoder, list(prefix), list(ends)
        self._runtime = (ctranslate2.Translator if is_encoder_decoder else ctranslate2.Generator)(
            folder,
            files=files,
            device=device,
            device_index=device_index,
            compute_type=compute_type,
            inter_threads=1,
            intra_threads=threads,
        )

    def generate(self, sources: list[list[int]], sampling: SamplingConfig) -> list[list[ScoredSequence]]:
        """Return `sampling.per_source` sequences of each source, the best one of a search first."""
        return (self._decode if self.is_encoder_decoder else self._continue)(sources, sampling)

    def log_probs(self, sources: list[list[int]], sequences: list[list[int]]) -> list[list[float]]:
        """Return the log-probability of each token of sequences that end in EOS."""
        if self.is_encoder_decoder:
            targets = _as_words([[*self.prefix, *tokens[:-1]] for tokens in sequences])  # score_batch appends EOS
            results = self._runtime.score_batch(_as_words(sources), targets, max_input_length=0)
        else:
            joined = [prompt + tokens for prompt, tokens in zip(sources, sequences, strict=True)]
            results = self._runtime.score_batch(_as_words(joined), max_input_length=0)
        return [result.log_probs[-len(tokens) :] for result, tokens in zip(results, sequences, strict=True)]

    def _decode(self, sources: list[list[int]], sampling: SamplingConfig) -> list[list[ScoredSequence]]:
        """Run an encoder-decoder model."""
        begin, options = len(self.prefix), search_options(sampling)
        results = self._runtime.translate_batch(
            _as_words(sources),
            target_prefix=_as_words([self.prefix] * len(sources)) if begin else None,
            max_input_length=0,  # no limit
            max_decoding_length=begin + sampling.max_new_tokens,
            min_decoding_length=begin + shortest(sampling),
            end_token=self.ends,
            **options,
        )
        return [
            [
                ([int(word) for word in words[begin:]], _log_prob(words, score, options))
                for words, score in zip(result.hypotheses, result.scores, strict=True)
            ]
            for result in results
        ]

    def _continue(self, prompts: list[list[int]], sampling: SamplingConfig) -> list[list[ScoredSequence]]:
        """Run a decoder-only model.

        Each call has prompts of one length: CTranslate2 would return the rest of a longer prompt as generated tokens.
        """
        continuations: dict[int, list[ScoredSequence]] = {}
        options = search_options(sampling)
        for length in {len(prompt): None for prompt in prompts}:
            rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            results = self._runtime.generate_batch(
                _as_words([prompts[row] for row in rows]),
                include_prompt_in_result=False,
                max_length=sampling.max_new_tokens,
                min_length=shortest(sampling),
                end_token=self.ends,
                **options,
            )
            scored = [
                [
                    (tokens, _log_prob(tokens, score, options))
                    for tokens, score in zip(result.sequences_ids, result.scores, strict=True)
                ]
                for result in results
            ]
            continuations |= dict(zip(rows, scored, strict=True))
        return [continuations[row] for row in range(len(prompts))]


def search_options(sampling: SamplingConfig) -> dict[str, Any]:
    """Return the options of sampling or search by the names that CTranslate2 has for them."""
    is_sample, options = sampling.mode not in SEARCHES, sampling.options
    return {
        "beam_size": options.get("num_beams", 1),
        "length_penalty": 0.0 if is_sample else options.get("length_penalty", 1.0),
        "no_repeat_ngram_size": options.get("no_repeat_ngram_size") or 0,
        "return_scores": True,
        "sampling_topk": options.get("top_k", 0) if is_sample else 1,  # 0: from all tokens
        "return_end_token": True,  # EOS then counts in a sequence's length, as in transformers
        **{name: options[key] for key, name in _OF_SAMPLES.items() if is_sample and key in options},
        **({"num_hypotheses": sampling.per_source} if sampling.per_source > 1 else {}),
    }


# Options of the modes that sample, by the names that CTranslate2 has for them.
_OF_SAMPLES = {"top_p": "sampling_topp", "temperature": "sampling_temperature"}


def shortest(sampling: SamplingConfig) -> int:
    """Return the least number of tokens before EOS."""
    return max(0, (sampling.options.get("min_new_tokens") or 0) - 1)


def _log_prob(tokens: Sequence, score: float, options: dict[str, Any]) -> float:
    """Return the log-probability of a sequence, given the score that beam search normalises by length."""
    return score * len(tokens) ** options["length_penalty"]


def _as_words(rows: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[str(token) for token in row] for row in rows]
