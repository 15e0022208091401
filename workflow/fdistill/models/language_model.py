"""Language models behind one interface, whatever their family: encode, decode, sample, generate.

Two subclasses hide the one real difference. An encoder-decoder model predicts label t at decoder position t;
a decoder-only model predicts the first label at the *last source token*, so sources are padded on the left
and targets on the right, and the logits of the last T positions line up with the T labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import Cache, DynamicCache, EncoderDecoderCache, GenerationConfig, PreTrainedModel

from fdistill.models.families import NEVER, Family, family_of
from fdistill.objectives import IGNORE


@dataclass
class Source:
    """A batch of sources: token ids (B, S) and attention mask (B, S), padded as the model's family wants."""

    input_ids: Tensor
    attention_mask: Tensor

    def to(self, device: torch.device | str) -> "Source":
        """The same batch on another device."""
        return Source(self.input_ids.to(device), self.attention_mask.to(device))


@dataclass
class Context:
    """A source as the decoder sees it. Encode once, decode as often as needed."""

    source: Source
    encoder_outputs: Any = None  # transformers' BaseModelOutput, None for a decoder-only model

    @property
    def hidden_states(self) -> tuple[Tensor, ...]:
        """Encoder hidden states: the embedding output, then one per layer, each (B, S, D)."""
        return getattr(self.encoder_outputs, "hidden_states", None) or ()


@dataclass
class Decoded:
    """Logits (N, V) for the labels but IGNORE, row by row; the decoder's hidden states for all of them, (B, T, D)."""

    logits: Tensor
    hidden_states: tuple[Tensor, ...] = ()


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
        if family.pad_is_no_word:
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
        """Logits for labels (B, T), IGNORE where padded, under teacher forcing.

        Those of padded positions are not computed: at a large vocabulary they would take most of time and memory.
        """

    @abstractmethod
    def start(self, context: Context) -> tuple[Tensor, dict[str, Any]]:
        """Input ids of the first step of step-by-step decoding, and the state to hand to `step`."""

    @abstractmethod
    def step(self, input_ids: Tensor, state: dict[str, Any]) -> Tensor:
        """Logits (B, V) of the next token; updates `state`, which holds the key-value cache."""

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

    @contextmanager
    def _logits_at(self, positions: Tensor) -> Iterator[None]:
        """The output layer is given the hidden states at these positions (B, L) alone: (B, L, D) -> (N, D)."""
        head = self.module.get_output_embeddings()
        hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][positions],))
        try:
            yield
        finally:
            hook.remove()

    @abstractmethod
    def _prompt(self, source: Source) -> Tensor:
        """The tokens (B, P) that come before the target, in what the decoder reads and in `generate`'s output."""

    @abstractmethod
    def _empty_cache(self) -> Cache:
        """A key-value cache that grows layer by layer: transformers sizes T5's by the encoder's depth."""


class EncoderDecoder(LanguageModel):
    """BART and its kin, T5."""

    def encode(self, source: Source, hidden: bool = False) -> Context:
        """See `LanguageModel.encode`."""
        outputs = self.run(
            lambda: self.module.get_encoder()(
                input_ids=source.input_ids, attention_mask=source.attention_mask, output_hidden_states=hidden
            )
        )
        return Context(source, outputs)

    def decode(self, context: Context, labels: Tensor, hidden: bool = False) -> Decoded:
        """See `LanguageModel.decode`. No decoder mask: the causal mask hides what follows, and a mask made
        from the decoder's inputs would hide T5's first position, whose start token is its pad token.
        """
        prompt = self._prompt(context.source)
        decoder_input_ids = torch.cat([prompt, labels[:, :-1]], dim=1)  # (B, P+T-1)
        begin = prompt.shape[1] - 1  # what comes before is given, not predicted
        with self._logits_at(torch.nn.functional.pad(labels != IGNORE, (begin, 0))):
            output = self._forward(
                encoder_outputs=context.encoder_outputs,
                attention_mask=context.source.attention_mask,
                decoder_input_ids=decoder_input_ids.masked_fill(decoder_input_ids == IGNORE, self.pad_token_id),
                output_hidden_states=hidden,
                use_cache=False,
            )
        return Decoded(output.logits, tuple(h[:, begin:] for h in output.decoder_hidden_states or ()))

    def start(self, context: Context) -> tuple[Tensor, dict[str, Any]]:
        """See `LanguageModel.start`."""
        return self._prompt(context.source), {"context": context, "cache": None}

    def step(self, input_ids: Tensor, state: dict[str, Any]) -> Tensor:
        """See `LanguageModel.step`."""
        output = self._forward(
            encoder_outputs=state["context"].encoder_outputs,
            attention_mask=state["context"].source.attention_mask,
            decoder_input_ids=input_ids,
            past_key_values=state["cache"],
            use_cache=True,
        )
        state["cache"] = output.past_key_values
        return output.logits[:, -1]

    def _prompt(self, source: Source) -> Tensor:
        return source.input_ids.new_tensor([self.decoder_prompt] * len(source.input_ids))

    def _empty_cache(self) -> Cache:
        return EncoderDecoderCache(DynamicCache(), DynamicCache())


class DecoderOnly(LanguageModel):
    """GPT-2, DialoGPT: the source is a prompt, padded on the left."""

    def encode(self, source: Source, hidden: bool = False) -> Context:
        """See `LanguageModel.encode`: there is nothing to run."""
        return Context(source)

    def decode(self, context: Context, labels: Tensor, hidden: bool = False) -> Decoded:
        """See `LanguageModel.decode`."""
        source, length = context.source, labels.shape[1]
        read = labels[:, :-1]  # the last label is predicted, never read
        input_ids = torch.cat([source.input_ids, read.masked_fill(read == IGNORE, self.pad_token_id)], dim=1)
        attention_mask = torch.cat([source.attention_mask, (read != IGNORE).long()], dim=1)  # (B, S+T-1)
        with self._logits_at(labels != IGNORE):
            output = self._forward(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=_position_ids(attention_mask),
                output_hidden_states=hidden,
                use_cache=False,
                logits_to_keep=length,
            )
        return Decoded(output.logits, tuple(h[:, -length:] for h in output.hidden_states or ()))

    def start(self, context: Context) -> tuple[Tensor, dict[str, Any]]:
        """See `LanguageModel.start`."""
        return self._prompt(context.source), {"mask": context.source.attention_mask, "cache": None}

    def step(self, input_ids: Tensor, state: dict[str, Any]) -> Tensor:
        """See `LanguageModel.step`."""
        if state["cache"] is not None:
            state["mask"] = torch.cat([state["mask"], torch.ones_like(input_ids)], dim=1)
        output = self._forward(
            input_ids=input_ids,
            attention_mask=state["mask"],
            position_ids=_position_ids(state["mask"])[:, -input_ids.shape[1] :],
            past_key_values=state["cache"],
            use_cache=True,
            logits_to_keep=1,
        )
        state["cache"] = output.past_key_values
        return output.logits[:, -1]

    def _prompt(self, source: Source) -> Tensor:
        return source.input_ids

    def _empty_cache(self) -> Cache:
        return DynamicCache()


def _run(work: Callable[[], Any]) -> Any:
    return work()


def _position_ids(attention_mask: Tensor) -> Tensor:
    """Positions that count real tokens only, so that left padding shifts nothing."""
    return (attention_mask.cumsum(-1) - 1).clamp(min=0)


def wrap(module: PreTrainedModel, decoder_prompt: list[int] | None = None) -> LanguageModel:
    """The language model around a transformers model of a known family; see `LanguageModel` for `decoder_prompt`."""
    family = family_of(module.config.model_type)
    return (EncoderDecoder if family.is_encoder_decoder else DecoderOnly)(module, family, decoder_prompt)


def model_class(family: Family) -> type[PreTrainedModel]:
    """The transformers class of a family."""
    return getattr(transformers, family.model_class)
