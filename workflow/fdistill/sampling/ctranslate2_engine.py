"""The engine CTranslate2, another runtime for a model of transformers, checked against the model itself."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from fdistill.data.batches import label_batch, source_batch
from fdistill.models.configurations import window
from fdistill.models.language_model import LanguageModel, Source
from fdistill.sampling.ctranslate2_conversion import (
    FAILURES,
    FLOAT32,
    cannot_run,
    converted_files,
    package_version,
    unsupported,
)
from fdistill.sampling.ctranslate2_runtime import Runtime
from fdistill.sampling.engine_limits import beyond_window
from fdistill.sampling.modes import ANCESTRAL, SEARCHES
from fdistill.sampling.sampler import Samples, SamplingConfig, mixed_seed, sequence_log_probs

# The check that both runtimes compute the same: the largest difference allowed, in nats per token (rounding alone stays
# below 1e-4 on a CPU), and the number and length of the random sequences that are compared.
TOLERANCE = 0.01
CHECKED_SEQUENCES, CHECKED_LENGTH = 4, 6


class CTranslate2:
    """A model converted to CTranslate2, on the model's device: `files` are the converted ones, with these `weights`."""

    def __init__(self, model: LanguageModel, weights: str = FLOAT32):
        """Convert the model; UserError when that fails or the converted model has other log-probabilities.

        Quantised weights have others: how much worse the outputs are is for the caller to measure.
        """
        package_version()
        import ctranslate2

        if model.is_sharded:
            raise unsupported("it needs all weights of the model, which is sharded over GPUs")
        model.module.eval()
        self.model = model
        self.prefix = model.decoder_prompt[1:]  # follows the start token, and is part of CTranslate2's outputs
        self._set_seed = ctranslate2.set_random_seed
        try:
            self.files = converted_files(model, weights=weights)
            self._open = partial(
                Runtime,
                "model",
                self.files,
                is_encoder_decoder=model.family.is_encoder_decoder,
                prefix=self.prefix,
                ends=model.ends,
                device=model.device.type,
                device_index=model.device.index or 0,
                compute_type=weights,
                threads=torch.get_num_threads(),
            )
            self._runtime = self._open()
            difference = self._largest_difference() if weights == FLOAT32 else 0.0
        except FAILURES as error:
            raise cannot_run(error) from None
        if not difference <= TOLERANCE:
            raise unsupported(f"its log-probabilities differ from the model's by up to {difference:.2g} nats per token")

    def check_search(self, sampling: SamplingConfig) -> None:
        """Raise UserError for a beam search that differs from transformers' for this model."""
        if reason := self.search_difference(sampling):
            raise unsupported(reason)

    def search_difference(self, sampling: SamplingConfig) -> str | None:
        """Return how a beam search differs: it counts the decoder's prefix in the length of the outputs."""
        if sampling.options.get("num_beams", 1) > 1 and self.prefix:
            return "its beam search differs after a decoder prompt of several tokens (mBART-50)"
        return None

    def sample_batch(
        self, source: Source, sampling: SamplingConfig, seed: Sequence[int], rows: Sequence[int]
    ) -> Samples:
        """Sample or search `sampling.per_source` sequences per source, as `sampler.sample_batch` does.

        In every mode the sequences depend on the whole batch; `rows` are part of its seed. Log-probabilities come with
        samples of q itself and with searches; those of a truncated distribution are others than the model's.
        """
        if sampling.mode not in SEARCHES:  # a runtime's threads read the seed when they first sample, so open a new one
            self._set_seed(mixed_seed(*seed, *rows) % 2**32)
            self._runtime = self._open()
        sources = [ids[mask.bool()].tolist() for ids, mask in zip(source.input_ids, source.attention_mask, strict=True)]
        longest = max(map(len, sources)) + sampling.max_new_tokens
        if reason := beyond_window(window(self.model.module.config), longest):
            raise unsupported(reason)
        try:
            generated = self._runtime.generate(sources, sampling)
        except FAILURES as error:
            raise cannot_run(error) from None
        sequences, log_probs = zip(*(pair for pairs in generated for pair in pairs), strict=True)
        finished = [tokens[-1] in self.model.ends for tokens in sequences]
        device = self.model.device
        labels = label_batch(sequences, device)
        known = sampling.mode in (ANCESTRAL, *SEARCHES)
        scores = torch.tensor(log_probs, device=device) if known else None
        return Samples(labels, torch.tensor(finished, device=device), scores)

    def _largest_difference(self) -> float:
        """Return the largest difference of the runtimes' log-probabilities, in nats, on random sequences."""
        model, rng = self.model, np.random.default_rng(0)
        special = {*model.ends, model.pad_token_id}
        words = [token for token in range(model.module.config.vocab_size) if token not in special]
        sources, texts = (rng.choice(words, (CHECKED_SEQUENCES, CHECKED_LENGTH)).tolist() for _ in range(2))
        sequences = [[*text, model.eos_token_id] for text in texts]
        labels = label_batch(sequences, model.device)
        expected = sequence_log_probs(model, source_batch(model, sources), labels)
        log_probs = torch.tensor(self._runtime.log_probs(sources, sequences), device=model.device)
        return (log_probs - expected).abs().max().item()
