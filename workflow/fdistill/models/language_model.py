"""`LanguageModel`, the interface that training, sampling and evaluation use: encode, decode, step, generate.

`architectures` implements it for encoder-decoder and decoder-only models.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, GenerationConfig, PreTrainedConfig, PreTrainedModel

from fdistill.losses import chunks
from fdistill.losses.divergences import log_softmax
from fdistill.losses.inputs import IGNORE
from fdistill.models.decoding import effective
from fdistill.models.families import NEVER, Family
from fdistill.runtime.errors import UserError


@dataclass
class Source:
    """A batch of sources: token ids and attention mask, (B, S) each, padded on the side that the architecture needs."""

    input_ids: Tensor
    attention_mask: Tensor

    def to(self, device: torch.device | str) -> "Source":
        """Return the same batch on another device."""
        return Source(self.input_ids.to(device), self.attention_mask.to(device))


@dataclass
class Decoded:
    """The decoder's outputs for a batch of labels (B, T), without logits.

    `states` (N, D) are the inputs of the output layer at the N valid labels, row by row (see `LanguageModel.logits`).
    `hidden_states` are those of the embeddings and of each layer at all labels, (B, T, D) each; `attentions` are the
    self-attention weights of each layer, (B, heads, T, keys) each. Both are empty unless requested.
    """

    states: Tensor
    hidden_states: tuple[Tensor, ...] = ()
    attentions: tuple[Tensor, ...] = ()


@dataclass
class Context:
    """An encoded source, which can be decoded any number of times.

    It contains the encoder's output of an encoder-decoder model; of a decoder-only model, the keys and values of the
    source and the outputs at its last token, which predicts the first label.
    """

    source: Source
    encoder_outputs: Any = None  # transformers' BaseModelOutput
    keys_and_values: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # per layer
    last: Decoded | None = None  # states (B, 1, D) and hidden states of the last source token

    def rows(self, rows: Tensor) -> "Context":
        """Return the context of the given rows, indices (R,) that may repeat."""
        source = Source(self.source.input_ids[rows], self.source.attention_mask[rows])
        outputs, last = self.encoder_outputs, self.last
        if outputs is not None:
            outputs = type(outputs)(**{name: _select(value, rows) for name, value in outputs.items()})
        if last is not None:
            last = Decoded(last.states[rows], _select(last.hidden_states, rows))
        return Context(source, outputs, [_select(pair, rows) for pair in self.keys_and_values], last)

    @property
    def hidden_states(self) -> tuple[Tensor, ...]:
        """The encoder's hidden states, (B, S, D) each: of the embeddings and each layer; empty without an encoder."""
        return getattr(self.encoder_outputs, "hidden_states", None) or ()

    @property
    def attentions(self) -> tuple[Tensor, ...]:
        """The encoder's self-attention weights, (B, heads, S, S) per layer; empty unless requested."""
        return getattr(self.encoder_outputs, "attentions", None) or ()


def _select(value: Any, rows: Tensor) -> Any:
    return tuple(tensor[rows] for tensor in value) if isinstance(value, tuple) else value[rows]


class LanguageModel(ABC):
    """A conditional distribution q(y|x) over token sequences, y including EOS.

    `decoder_prompt` are the tokens that an encoder-decoder model's decoder reads before y: its start token, and a
    language code if the model has them. They are given, not sampled.
    """

    def __init__(self, module: PreTrainedModel, family: Family, decoder_prompt: list[int] | None = None):
        config, settings = module.config, module.generation_config
        if decoder_prompt is not None:
            config.decoder_start_token_id = decoder_prompt[0]
        self.decoder_start_token_id = getattr(config, "decoder_start_token_id", None)
        if self.decoder_start_token_id is None:  # newer checkpoints save it with their generation settings
            self.decoder_start_token_id = config.decoder_start_token_id = settings.decoder_start_token_id
        self.decoder_prompt = decoder_prompt or ([self.decoder_start_token_id] if family.is_encoder_decoder else [])
        # Generation settings of the checkpoint (forced tokens, minimum lengths, n-gram bans) are ignored. They would
        # apply wherever a call to `generate` leaves a setting open, and samples would no longer come from q. The
        # task's configuration alone decides how to decode.
        module.generation_config = GenerationConfig(
            bos_token_id=getattr(config, "bos_token_id", None),  # T5 has none
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
            decoder_start_token_id=self.decoder_start_token_id,
        )
        embeddings = module.get_input_embeddings()
        if getattr(embeddings, "padding_idx", None) in end_tokens(config):
            embeddings.padding_idx = None  # EOS that serves as pad token learns as an input all the same
        if family.pad_is_never_predicted:
            module.final_logits_bias[:, config.pad_token_id] = NEVER
        for name in family.constant:
            module.get_submodule(name).requires_grad_(False)
        self.module = module
        self.family = family
        self.is_sharded = False
        self.reports_attentions = False
        # Every call of the module goes through `run`, which `fsdp.shard` replaces.
        self.run: Callable[[Callable[[], Any]], Any] = _call

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.module.device

    @property
    def has_dropout(self) -> bool:
        """Whether training mode differs from evaluation mode: dropout or layer drop of any kind."""
        rates = [
            value
            for part in self.module.modules()
            for name, value in vars(part).items()
            if "drop" in name or isinstance(part, torch.nn.Dropout)
        ]
        return any(isinstance(rate, float) and rate > 0 for rate in rates)

    @property
    def eos_token_id(self) -> int:
        """The id of the token that ends a target."""
        return self.ends[0]

    @property
    def ends(self) -> tuple[int, ...]:
        """The ids of the tokens that end a text of the model: EOS, and others that some chats' turns end with."""
        return end_tokens(self.module.config)

    @property
    def pad_token_id(self) -> int:
        """The id of the token at padded positions."""
        return self.module.config.pad_token_id

    def heads(self) -> dict[str, int]:
        """Return the number of attention heads of each stack."""
        return {name: getattr(self.module.config, stack.heads_key) for name, stack in self.family.stacks.items()}

    def report_attentions(self) -> None:
        """Compute attention as transformers' `eager`, and return its weights wherever hidden states are requested.

        The memory-efficient attention of torch does not have them. Raises UserError for a decoder-only model.
        """
        if not self.family.is_encoder_decoder:
            raise UserError(
                "loss attention_mse compares the attention of encoder-decoder models, and a "
                f"{self.module.config.model_type} model has only a decoder; remove the term"
            )
        self.module.set_attn_implementation("eager")
        self.reports_attentions = True

    @abstractmethod
    def encode(self, source: Source, hidden: bool = False) -> Context:
        """Encode a source; `hidden` includes the hidden states."""

    @abstractmethod
    def decode(self, context: Context, labels: Tensor, hidden: bool = False) -> Decoded:
        """Compute the states that predict the labels (B, T), IGNORE where padded, under teacher forcing.

        Logits are left to `logits`, and padded positions are left out: for a large vocabulary they take most of the
        time and memory. `hidden` includes the hidden states.
        """

    def logits(self, states: Tensor) -> Tensor:
        """Apply the output layer to states that `decode` returns: (N, D) -> (N, V)."""
        bias = getattr(self.module, "final_logits_bias", None)  # BART and its relatives
        cap = getattr(self.module.config, "final_logit_softcapping", None)  # Gemma 2
        logits = self.run(lambda: self.module.get_output_embeddings()(states))
        if cap is not None:
            logits = cap * torch.tanh(logits / cap)
        return logits if bias is None else logits + bias

    def output_weights(self) -> list[Tensor]:
        """Return those weights of the output layer that are trained."""
        return [weight for weight in self.module.get_output_embeddings().parameters() if weight.requires_grad]

    def log_probs(self, context: Context, labels: Tensor) -> Tensor:
        """Return the log-probability of each label given those before it, 0 at padded positions: (B, T) -> (B, T)."""
        valid = labels != IGNORE
        log_probs = self.log_probs_from(self.decode(context, labels).states, labels[valid])
        return log_probs.new_zeros(labels.shape).masked_scatter(valid, log_probs)

    def log_probs_from(self, states: Tensor, labels: Tensor) -> Tensor:
        """Return the log-probabilities of labels (N,), given the states (N, D) that predict them: (N,)."""

        def of_chunk(states: Tensor, labels: Tensor) -> Tensor:
            return log_softmax(self.logits(states)).gather(-1, labels.unsqueeze(-1)).squeeze(-1)

        return chunks.map_over_chunks(of_chunk, [states, labels], self.chunk_size)

    @property
    def chunk_size(self) -> int:
        """The number of positions whose logits are in memory at a time.

        A sharded model has a single chunk, since every chunk would gather the weights again.
        """
        if self.is_sharded:
            return sys.maxsize
        return chunks.chunk_size(self.module.config.vocab_size, self.device)

    @abstractmethod
    def start(self, context: Context) -> tuple[Tensor, dict[str, Any]]:
        """Return the logits (B, V) of the first token, and the decoding state that `step` and `select_rows` update."""

    @abstractmethod
    def step(self, tokens: Tensor, state: dict[str, Any]) -> Tensor:
        """Return the logits (B, V) of the token after `tokens` (B, 1), and update `state`, the key-value cache."""

    @abstractmethod
    def select_rows(self, rows: Tensor, state: dict[str, Any]) -> None:
        """Restrict the decoding state to the given rows, indices (R,): the unfinished ones."""

    @torch.no_grad()
    def generate(self, source: Source, **decoding: Any) -> Tensor:
        """Decode with transformers' `generate` and no other settings than the given ones: token ids (B, T)."""
        special_tokens = self.module.generation_config.to_diff_dict()
        prompt = self._prompt(source)
        inputs = {"input_ids": source.input_ids, "attention_mask": source.attention_mask}
        if self.family.is_encoder_decoder:
            inputs["decoder_input_ids"] = prompt
        output = self.run(
            lambda: self.module.generate(
                **inputs,
                past_key_values=self._empty_cache(),
                generation_config=GenerationConfig(**(special_tokens | effective(decoding))),
            )
        )
        return output[:, prompt.shape[1] :]

    def _forward(self, **inputs: Any) -> Any:
        return self.run(lambda: self.module(**inputs))

    def _before_output(self, **inputs: Any) -> tuple[Tensor, Any]:
        """Run the module without its output layer: return the layer's inputs (B, L, D) and the module's output."""
        states = []

        def skip_output_layer(_: Any, layer_inputs: tuple[Tensor]) -> tuple[Tensor]:
            states.append(layer_inputs[0])
            return (layer_inputs[0][:, :0],)

        def forward() -> tuple[Tensor, Any]:
            hook = self.module.get_output_embeddings().register_forward_pre_hook(skip_output_layer)
            try:
                output = self.module(**inputs)
            finally:
                hook.remove()
            return states[0], output

        return self.run(forward)

    @abstractmethod
    def _prompt(self, source: Source) -> Tensor:
        """Return the tokens (B, P) that precede the target, in the decoder inputs and in the output of `generate`."""

    @abstractmethod
    def _empty_cache(self) -> Cache:
        """Return a key-value cache that grows layer by layer: transformers sizes T5's by the encoder's depth."""


def end_tokens(config: PreTrainedConfig) -> tuple[int, ...]:
    """Return the ids of the tokens that end a text, EOS first: a configuration has one or a list of them."""
    ids = config.eos_token_id
    return tuple(ids) if isinstance(ids, list) else (ids,)


def _call(function: Callable[[], Any]) -> Any:
    return function()
