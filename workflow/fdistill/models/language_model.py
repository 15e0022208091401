"""Language models behind one interface, whatever their family (see `kinds`): encode, decode, sample, generate."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, GenerationConfig, PreTrainedModel

from fdistill.losses import chunks
from fdistill.losses.divergences import log_softmax
from fdistill.losses.objectives import IGNORE
from fdistill.models.families import NEVER, Family


@dataclass
class Source:
    """A batch of sources: token ids (B, S) and attention mask (B, S), padded as the model's family wants."""

    input_ids: Tensor
    attention_mask: Tensor

    def to(self, device: torch.device | str) -> "Source":
        """The same batch on another device."""
        return Source(self.input_ids.to(device), self.attention_mask.to(device))


@dataclass
class Decoded:
    """What the output layer makes logits of, for the labels but IGNORE, row by row, (N, D): see `LanguageModel.logits`.

    `hidden_states` are the decoder's for all labels, (B, T, D).
    """

    states: Tensor
    hidden_states: tuple[Tensor, ...] = ()


@dataclass
class Context:
    """A source as the decoder sees it. Encode once, decode as often as needed.

    Of an encoder-decoder model the encoder's output. Of a decoder-only model the keys and values of the
    source, and what its last token gave, from which the first label is predicted.
    """

    source: Source
    encoder_outputs: Any = None  # transformers' BaseModelOutput
    keys_and_values: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # per layer
    last: Decoded | None = None  # states (B, 1, D) and hidden states of the last source token

    def rows(self, rows: Tensor) -> "Context":
        """Some of the rows, or all of them several times."""
        source = Source(self.source.input_ids[rows], self.source.attention_mask[rows])
        outputs, last = self.encoder_outputs, self.last
        if outputs is not None:
            outputs = type(outputs)(**{name: _of_rows(value, rows) for name, value in outputs.items()})
        if last is not None:
            last = Decoded(last.states[rows], _of_rows(last.hidden_states, rows))
        return Context(source, outputs, [_of_rows(pair, rows) for pair in self.keys_and_values], last)

    @property
    def hidden_states(self) -> tuple[Tensor, ...]:
        """Encoder hidden states: the embedding output, then one per layer, each (B, S, D)."""
        return getattr(self.encoder_outputs, "hidden_states", None) or ()


def _of_rows(value: Any, rows: Tensor) -> Any:
    return tuple(each[rows] for each in value) if isinstance(value, tuple) else value[rows]


class LanguageModel(ABC):
    """A conditional distribution q(y|x) over token sequences, y including EOS.

    `decoder_prompt` is what an encoder-decoder model's decoder reads before y: its start token, and a language code
    where the model has them. It is given, not drawn.
    """

    def __init__(self, module: PreTrainedModel, family: Family, decoder_prompt: list[int] | None = None):
        config, settings = module.config, module.generation_config
        if decoder_prompt is not None:
            config.decoder_start_token_id = decoder_prompt[0]
        self.decoder_start_token_id = getattr(config, "decoder_start_token_id", None)
        if self.decoder_start_token_id is None:  # newer checkpoints keep it with their generation settings
            self.decoder_start_token_id = config.decoder_start_token_id = settings.decoder_start_token_id
        self.decoder_prompt = decoder_prompt or ([self.decoder_start_token_id] if family.is_encoder_decoder else [])
        # A checkpoint's generation settings (forced tokens, minimum lengths, n-gram bans) would fill whatever
        # a call to `generate` leaves unset, so that samples would no longer come from q. Decoding is set by
        # the task alone.
        module.generation_config = GenerationConfig(
            bos_token_id=getattr(config, "bos_token_id", None),  # T5 has none
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
            decoder_start_token_id=self.decoder_start_token_id,
        )
        if family.pad_is_never_predicted:
            module.final_logits_bias[:, config.pad_token_id] = NEVER
        for name in family.constant:
            module.get_submodule(name).requires_grad_(False)
        self.module = module
        self.family = family
        self.is_sharded = False
        self.run: Callable[[Callable[[], Any]], Any] = _run  # work on the module; of a shared one, see `sharding`

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.module.device

    @property
    def has_dropout(self) -> bool:
        """Whether training mode computes anything else than evaluation mode: dropout or layer drop of any kind."""
        rates = [
            value
            for part in self.module.modules()
            for name, value in vars(part).items()
            if "drop" in name or isinstance(part, torch.nn.Dropout)
        ]
        return any(isinstance(rate, float) and rate > 0 for rate in rates)

    @property
    def eos_token_id(self) -> int:
        """The token that ends a target."""
        return self.module.config.eos_token_id

    @property
    def pad_token_id(self) -> int:
        """The token at padded positions."""
        return self.module.config.pad_token_id

    @abstractmethod
    def encode(self, source: Source, hidden: bool = False) -> Context:
        """Run what depends on the source alone."""

    @abstractmethod
    def decode(self, context: Context, labels: Tensor, hidden: bool = False) -> Decoded:
        """What predicts the labels (B, T), IGNORE where padded, under teacher forcing.

        No logits yet, and nothing for padded positions: at a large vocabulary they take most of time and memory.
        """

    def logits(self, states: Tensor) -> Tensor:
        """The output layer: states (N, D), as `decode` gives them, to logits (N, V)."""
        bias = getattr(self.module, "final_logits_bias", None)  # BART and its kin
        logits = self.run(lambda: self.module.get_output_embeddings()(states))
        return logits if bias is None else logits + bias

    def output_weights(self) -> list[Tensor]:
        """The output layer's weights that are trained."""
        return [weight for weight in self.module.get_output_embeddings().parameters() if weight.requires_grad]

    def log_probs(self, context: Context, labels: Tensor) -> Tensor:
        """The log-probability of each label given those before it, 0 at padded positions: (B, T) -> (B, T)."""
        valid = labels != IGNORE
        found = self.log_probs_from(self.decode(context, labels).states, labels[valid])
        return found.new_zeros(labels.shape).masked_scatter(valid, found)

    def log_probs_from(self, states: Tensor, labels: Tensor) -> Tensor:
        """Those of labels (N,), from the states (N, D) that predict them: (N,)."""

        def of_chunk(states: Tensor, labels: Tensor) -> Tensor:
            return log_softmax(self.logits(states)).gather(-1, labels.unsqueeze(-1)).squeeze(-1)

        return chunks.map_over_chunks(of_chunk, [states, labels], self.chunk_size)

    @property
    def chunk_size(self) -> int:
        """How many positions' logits are in memory at a time. All, where each time would gather shared weights."""
        if self.is_sharded:
            return sys.maxsize
        return chunks.chunk_size(self.module.config.vocab_size, self.device)

    @abstractmethod
    def start(self, context: Context) -> tuple[Tensor, dict[str, Any]]:
        """Logits (B, V) of the first token, and the state of step-by-step decoding to hand to `step` and `keep`."""

    @abstractmethod
    def step(self, tokens: Tensor, state: dict[str, Any]) -> Tensor:
        """Logits (B, V) of the token after `tokens` (B, 1); updates `state`, which holds the key-value cache."""

    @abstractmethod
    def keep(self, rows: Tensor, state: dict[str, Any]) -> None:
        """Go on with some rows alone."""

    @torch.no_grad()
    def generate(self, source: Source, **decoding: Any) -> Tensor:
        """Token ids (B, T) by transformers' `generate`, under the given `GenerationConfig` settings alone."""
        if decoding.get("do_sample"):
            decoding = {"top_k": 0} | decoding  # transformers would keep the 50 likeliest tokens unasked
        special_tokens = self.module.generation_config.to_diff_dict()
        prompt = self._prompt(source)
        inputs = {"input_ids": source.input_ids, "attention_mask": source.attention_mask}
        if self.family.is_encoder_decoder:
            inputs["decoder_input_ids"] = prompt
        output = self.run(
            lambda: self.module.generate(
                **inputs,
                past_key_values=self._empty_cache(),
                generation_config=GenerationConfig(**(special_tokens | decoding)),
            )
        )
        return output[:, prompt.shape[1] :]

    def _forward(self, **inputs: Any) -> Any:
        return self.run(lambda: self.module(**inputs))

    def _before_output(self, **inputs: Any) -> tuple[Tensor, Any]:
        """What the output layer would read at each position, (B, L, D), and the module's output, without logits."""
        found = []

        def instead(_: Any, read: tuple[Tensor]) -> tuple[Tensor]:
            found.append(read[0])
            return (read[0][:, :0],)

        def forward() -> tuple[Tensor, Any]:
            hook = self.module.get_output_embeddings().register_forward_pre_hook(instead)
            try:
                output = self.module(**inputs)
            finally:
                hook.remove()
            return found[0], output

        return self.run(forward)

    @abstractmethod
    def _prompt(self, source: Source) -> Tensor:
        """The tokens (B, P) that come before the target, in what the decoder reads and in `generate`'s output."""

    @abstractmethod
    def _empty_cache(self) -> Cache:
        """A key-value cache that grows layer by layer: transformers sizes T5's by the encoder's depth."""


def _run(work: Callable[[], Any]) -> Any:
    return work()
