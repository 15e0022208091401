"""The two architectures behind `LanguageModel`: encoder-decoder and decoder-only.

They differ in the position that predicts a label. An encoder-decoder model predicts label t at decoder position t. A
decoder-only model predicts the first label at the *last source token*: sources are padded on the left and targets on
the right, so that the logits of the last T positions correspond to the T labels.
"""

from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedModel

from fdistill.losses.inputs import IGNORE
from fdistill.models.families import FAMILIES, Family
from fdistill.models.language_model import Context, Decoded, LanguageModel, Source


class EncoderDecoder(LanguageModel):
    """An encoder-decoder model: BART and its relatives, T5."""

    def encode(self, source: Source, hidden: bool = False) -> Context:
        """See `LanguageModel.encode`."""
        outputs = self.run(
            lambda: self.module.get_encoder()(
                input_ids=source.input_ids,
                attention_mask=source.attention_mask,
                output_hidden_states=hidden,
                output_attentions=hidden and self.reports_attentions,
            )
        )
        return Context(source, outputs)

    def decode(self, context: Context, labels: Tensor, hidden: bool = False) -> Decoded:
        """See `LanguageModel.decode`.

        The decoder has no attention mask. The causal mask hides later positions, and a mask made from the decoder
        inputs would hide T5's first position, whose start token is its pad token.
        """
        prompt = self._prompt(context.source)
        decoder_input_ids = torch.cat([prompt, labels[:, :-1]], dim=1)  # (B, P+T-1)
        begin = prompt.shape[1] - 1  # the last prompt token predicts the first label
        states, output = self._before_output(
            encoder_outputs=context.encoder_outputs,
            attention_mask=context.source.attention_mask,
            decoder_input_ids=decoder_input_ids.masked_fill(decoder_input_ids == IGNORE, self.pad_token_id),
            output_hidden_states=hidden,
            output_attentions=hidden and self.reports_attentions,
            use_cache=False,
        )
        states, *hidden_states = (h[:, begin:] for h in (states, *(output.decoder_hidden_states or ())))
        attentions = tuple(a[:, :, begin:] for a in output.decoder_attentions or ())
        return Decoded(states[labels != IGNORE], tuple(hidden_states), attentions)

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

    def select_rows(self, rows: Tensor, state: dict[str, Any]) -> None:
        """See `LanguageModel.select_rows`."""
        state["context"] = state["context"].rows(rows)
        state["cache"].batch_select_indices(rows)

    def _prompt(self, source: Source) -> Tensor:
        return source.input_ids.new_tensor([self.decoder_prompt] * len(source.input_ids))

    def _empty_cache(self) -> Cache:
        return EncoderDecoderCache(DynamicCache(), DynamicCache())


class DecoderOnly(LanguageModel):
    """A decoder-only model: GPT-2, Llama and its relatives. The source is a prompt, padded on the left.

    Keys and values are kept whole in layers that see only a window of them too: the attention mask has the window.
    """

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
        target_inputs = labels[:, :-1]  # (B, T-1): the last label is predicted, but never an input
        if not target_inputs.shape[1]:
            return Decoded(context.last.states[labels != IGNORE], context.last.hidden_states)
        attention_mask = torch.cat(
            [context.source.attention_mask, (target_inputs != IGNORE).long()], dim=1
        )  # (B, S+T-1)
        states, output = self._before_output(
            input_ids=target_inputs.masked_fill(target_inputs == IGNORE, self.pad_token_id),
            attention_mask=attention_mask,
            position_ids=_position_ids(attention_mask)[:, -target_inputs.shape[1] :],
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

    def select_rows(self, rows: Tensor, state: dict[str, Any]) -> None:
        """See `LanguageModel.select_rows`."""
        state["mask"] = state["mask"][rows]
        state["cache"].batch_select_indices(rows)

    def _prompt(self, source: Source) -> Tensor:
        return source.input_ids

    def _empty_cache(self) -> Cache:
        return DynamicCache()


def _position_ids(attention_mask: Tensor) -> Tensor:
    """Return positions that count real tokens only, so that left padding does not shift them: (B, L) -> (B, L)."""
    return (attention_mask.cumsum(-1) - 1).clamp(min=0)


def wrap(module: PreTrainedModel, decoder_prompt: list[int] | None = None) -> LanguageModel:
    """Wrap a transformers model of a known family; `LanguageModel` explains `decoder_prompt`."""
    family = FAMILIES[module.config.model_type]
    return (EncoderDecoder if family.is_encoder_decoder else DecoderOnly)(module, family, decoder_prompt)


def model_class(family: Family) -> type[PreTrainedModel]:
    """Return the transformers class of a family."""
    return getattr(transformers, family.model_class)
