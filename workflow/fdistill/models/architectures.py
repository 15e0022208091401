"""The two kinds of language model, and of which a family is.

They hide the one real difference. An encoder-decoder model predicts label t at decoder position t; a decoder-only model
predicts the first label at the *last source token*, so sources are padded on the left and targets on the right, and the
logits of the last T positions line up with the T labels.
"""

from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedModel

from fdistill.losses.objectives import IGNORE
from fdistill.models.families import Family, family_of
from fdistill.models.language_model import Context, Decoded, LanguageModel, Source


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
        states, output = self._before_output(
            encoder_outputs=context.encoder_outputs,
            attention_mask=context.source.attention_mask,
            decoder_input_ids=decoder_input_ids.masked_fill(decoder_input_ids == IGNORE, self.pad_token_id),
            output_hidden_states=hidden,
            use_cache=False,
        )
        states, *hidden_states = (h[:, begin:] for h in (states, *(output.decoder_hidden_states or ())))
        return Decoded(states[labels != IGNORE], tuple(hidden_states))

    def start(self, context: Context) -> tuple[Tensor, dict[str, Any]]:
        """See `LanguageModel.start`."""
        state = {"context": context, "cache": self._empty_cache()}
        return self.step(self._prompt(context.source), state), state

    def step(self, tokens: Tensor, state: dict[str, Any]) -> Tensor:
        """See `LanguageModel.step`."""
        output = self._forward(
            encoder_outputs=state["context"].encoder_outputs,
            attention_mask=state["context"].source.attention_mask,
            decoder_input_ids=tokens,
            past_key_values=state["cache"],
            use_cache=True,
        )
        return output.logits[:, -1]

    def keep(self, rows: Tensor, state: dict[str, Any]) -> None:
        """See `LanguageModel.keep`."""
        state["context"] = state["context"].rows(rows)
        state["cache"].batch_select_indices(rows)

    def _prompt(self, source: Source) -> Tensor:
        return source.input_ids.new_tensor([self.decoder_prompt] * len(source.input_ids))

    def _empty_cache(self) -> Cache:
        return EncoderDecoderCache(DynamicCache(), DynamicCache())


class DecoderOnly(LanguageModel):
    """GPT-2, DialoGPT: the source is a prompt, padded on the left."""

    def encode(self, source: Source, hidden: bool = False) -> Context:
        """See `LanguageModel.encode`."""
        cache = self._empty_cache()
        states, output = self._before_output(
            input_ids=source.input_ids,
            attention_mask=source.attention_mask,
            position_ids=_position_ids(source.attention_mask),
            past_key_values=cache,
            output_hidden_states=hidden,
            use_cache=True,
        )
        last = Decoded(states[:, -1:], tuple(h[:, -1:] for h in output.hidden_states or ()))
        return Context(source, None, [(layer.keys, layer.values) for layer in cache.layers], last)

    def decode(self, context: Context, labels: Tensor, hidden: bool = False) -> Decoded:
        """See `LanguageModel.decode`."""
        read = labels[:, :-1]  # the last label is predicted, never read
        if not read.shape[1]:
            return Decoded(context.last.states[labels != IGNORE], context.last.hidden_states)
        attention_mask = torch.cat([context.source.attention_mask, (read != IGNORE).long()], dim=1)  # (B, S+T-1)
        states, output = self._before_output(
            input_ids=read.masked_fill(read == IGNORE, self.pad_token_id),
            attention_mask=attention_mask,
            position_ids=_position_ids(attention_mask)[:, -read.shape[1] :],
            past_key_values=DynamicCache(context.keys_and_values),
            output_hidden_states=hidden,
            use_cache=True,
        )
        states, *hidden_states = (
            torch.cat(pair, dim=1)
            for pair in zip(
                (context.last.states, *context.last.hidden_states), (states, *(output.hidden_states or ())), strict=True
            )
        )
        return Decoded(states[labels != IGNORE], tuple(hidden_states))

    def start(self, context: Context) -> tuple[Tensor, dict[str, Any]]:
        """See `LanguageModel.start`."""
        state = {"mask": context.source.attention_mask, "cache": DynamicCache(context.keys_and_values)}
        return self.logits(context.last.states[:, 0]), state

    def step(self, tokens: Tensor, state: dict[str, Any]) -> Tensor:
        """See `LanguageModel.step`."""
        state["mask"] = torch.cat([state["mask"], torch.ones_like(tokens)], dim=1)
        output = self._forward(
            input_ids=tokens,
            attention_mask=state["mask"],
            position_ids=_position_ids(state["mask"])[:, -1:],
            past_key_values=state["cache"],
            use_cache=True,
        )
        return output.logits[:, -1]

    def keep(self, rows: Tensor, state: dict[str, Any]) -> None:
        """See `LanguageModel.keep`."""
        state["mask"] = state["mask"][rows]
        state["cache"].batch_select_indices(rows)

    def _prompt(self, source: Source) -> Tensor:
        return source.input_ids

    def _empty_cache(self) -> Cache:
        return DynamicCache()


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
