"""The adapter of a teacher: what must be downloaded of it, and whether it fits the teacher."""

from typing import Any

from fdistill.models.adapter_files import check_adapter_names, names_read
from fdistill.models.adapters import check_adapter
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.location import ADAPTER_CONFIG, local_folder
from fdistill.preflight import hub, reach
from fdistill.runtime.errors import UserError

KEY = "model.teacher.adapter"


def to_fetch(start: dict[str, Any]) -> hub.Download | None:
    """Return what must be downloaded of a teacher's adapter; None if it is on this machine.

    Raises UserError when it is not available, or lacks a file.
    """
    name, (_, *weights) = start["adapter"], names_read(start["allow_pickle"])
    if local_folder(name) is not None or any(reach.cached(name, file) for file in weights):
        return None
    files = hub.asked(lambda: reach.hub_model(name), KEY)
    read = {file: files[file] for file in (ADAPTER_CONFIG, *weights) if file in files}
    check_adapter_names(name, read)
    stored = next(file for file in weights if file in read)
    hub.asked(lambda: reach.hub_file(name, stored), KEY)
    return hub.Download(name, read[ADAPTER_CONFIG] + read[stored])


def check(start: dict[str, Any], teacher: Checkpoint, with_weights: bool) -> None:
    """Raise UserError when the adapter, `with_weights` by their shapes, does not fit a teacher; changes its outline."""
    module, family = teacher.model.module, teacher.model.family
    try:
        check_adapter(start["adapter"], start["init"], module, family, start["allow_pickle"], with_weights)
    except UserError as error:
        raise UserError(f"{KEY}: {error}") from None
