"""A model's miniature: it runs the same code of the same libraries, and takes next to no memory."""

import torch

from fdistill.models.architectures import model_class, wrap
from fdistill.models.configurations import of_layers
from fdistill.models.language_model import LanguageModel

WIDTH = 8  # of hidden states; the vocabulary stays, as it belongs to the tokenizer


def miniature(model: LanguageModel) -> LanguageModel:
    """Return a model with random weights and the same configuration but for one narrow layer and head per stack."""
    config = of_layers(model.module.config, model.family, {name: [0] for name in model.family.stacks})
    config.hidden_size = WIDTH  # by transformers' common name of the key
    for key, size in {"num_key_value_heads": 1, "head_dim": WIDTH, "word_embed_proj_dim": WIDTH}.items():
        if hasattr(config, key):
            setattr(config, key, size)
    for stack in model.family.stacks.values():
        setattr(config, stack.heads_key, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return wrap(model_class(model.family)(config), model.decoder_prompt or None)
