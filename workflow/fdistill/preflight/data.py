"""The check of the data: whether each task's texts are available."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.data import sources
from fdistill.data.sources.files.local_files import input_files
from fdistill.data.sources.published.hub import Hub
from fdistill.preflight import reach
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task; for a task whose data are prepared, sources are not looked for."""
    for task, settings in plan.tasks():
        if (plan.results / task / "prepare" / "manifest.json").exists():
            yield Finding(f"{task}: data", "prepared already")
        else:
            yield _available(f"{task}: data", settings["source"], Path(plan.study.cache).expanduser())


def _available(where: str, source: dict[str, Any], cache: Path) -> Finding:
    module = sources.source_module(source["kind"])
    if source.get("path"):
        missing = ", ".join(name for name in dict.fromkeys(input_files(source)) if not Path(name).is_file())
        if missing:
            text = f"source.path: no such file {missing} (relative to {Path.cwd()}); put it there, or correct the path"
            return Finding(where, text, problem=True)
        return Finding(where, "local files")
    if module.ARCHIVES:
        missing = [archive.filename for archive in module.ARCHIVES if not (cache / archive.filename).exists()]
        if not missing:
            return Finding(where, f"{len(module.ARCHIVES)} package files in {cache}")
        return Finding(where, f"pip will download {len(missing)} of {len(module.ARCHIVES)} package files to {cache}")
    failures = []
    for place in module.DATASET.places:
        try:
            if isinstance(place, Hub):
                reach.hub_dataset(place.id, place.revision)
            else:
                for address in place.urls:
                    reach.url(address)
        except UserError as error:
            failures.append(str(error))
        else:
            return Finding(where, str(place))
    text = f"{'; '.join(dict.fromkeys(failures))}. Check the network, or set source.path in the task's file to local "
    return Finding(where, f"{text}files ({module.DATASET.local_files})", problem=True)
