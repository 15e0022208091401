"""Section `logging`: which sinks of curves it turns on, and what a schema cannot say about them."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from fdistill.config.files import Settings
from fdistill.runtime.validation import Problem

LOGGING = "logging"
_NOT_IN_PROJECTS = r"/\#?%:"  # characters that W&B refuses in the name of a project


def sinks(settings: Settings) -> dict[str, Any]:
    """Return the options of the sinks that the section turns on, by key."""
    return {key: options for key, options in settings.items() if options not in (None, False)}


def logging_problems(settings: Settings) -> Iterator[Problem]:
    """Yield what W&B would refuse only when a training has begun; a password is refused in any text of a study."""
    project = (settings.get("wandb") or {}).get("project") or ""
    if bad := [character for character in _NOT_IN_PROJECTS if character in project]:
        text = f"'{project}' has a {bad[0]}, which W&B allows in no project's name; write another name"
        yield Problem(("wandb", "project"), text)


def package_problems(settings: Settings) -> Iterator[Problem]:
    """Yield the sinks whose package is not installed here; a sink and its package have one name."""
    for key in sinks(settings):
        # No origin: a folder of this name, as W&B's own for its files, and no package.
        if getattr(find_spec(key), "origin", None) is None:
            off = "false" if settings[key] is True else "null"
            text = f"needs the package {key}, which is not installed; pip install {key}, or set logging.{key}: {off}"
            yield Problem((key,), text)
