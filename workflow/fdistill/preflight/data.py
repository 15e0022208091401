"""The check of the data: whether each task's texts are available, and local ones can be used."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fdistill.artifacts.files import read_json, sha256
from fdistill.config.unlabelled import has_unlabelled, learns_from_unlabelled, needs_labels
from fdistill.data import sources
from fdistill.data.archives import Archive, is_cached, verify
from fdistill.data.preparation import checked_corpus
from fdistill.data.sources import UNLABELLED
from fdistill.data.sources.files.local_files import input_files
from fdistill.data.sources.published.hub import Hub
from fdistill.data.sources.published.web import cached_path
from fdistill.data.unlabelled import SHARE
from fdistill.preflight import reach
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task; for a task whose data are prepared from these files, sources are not looked for.

    A task with unlabelled inputs has a second one, of the methods that learn from them; a task without them, of the
    methods that differ in nothing else.
    Local files are read as rule prepare reads them, to the last row.
    """
    for task, settings in plan.tasks():
        where, source = f"{task}: data", settings["source"]
        try:
            if _is_prepared(plan.results / task / "prepare" / "manifest.json", source):
                text = "prepared already"
            else:
                text = _available(source, Path(plan.study.cache).expanduser())
        except UserError as error:
            yield Finding(where, str(error), problem=True)
        else:
            yield Finding(where, text)
        if has_unlabelled(settings):
            yield Finding(f"{task}: unlabelled inputs", _users(plan.methods(task)))
        elif equal := _equal(plan.methods(task)):
            yield Finding(f"{task}: unlabelled inputs", f"none, so that these are the same training: {equal}")


def _users(methods: dict[str, dict[str, Any]]) -> str:
    """Which methods learn from unlabelled inputs, and why the others do not."""
    users = [name for name, method in methods.items() if learns_from_unlabelled(method)]
    others = [
        f"{name} ({needed[0] if (needed := needs_labels(method)) else 'unlabelled: false'})"
        for name, method in methods.items()
        if name not in users
    ]
    text = f"{', '.join(users)} learn{'s' * (len(users) == 1)} from them too" if users else "no method learns from them"
    return text + (f"; on labelled inputs alone: {', '.join(others)}" if others else "")


def _equal(methods: dict[str, dict[str, Any]]) -> str:
    """The methods that differ only in whether they learn from unlabelled inputs; nothing if there are none such."""
    of_settings: dict[str, dict[str, bool]] = {}
    for name, method in methods.items():
        settings = {key: value for key, value in method.items() if key not in ("title", "unlabelled")}
        of_settings.setdefault(json.dumps(settings, sort_keys=True), {})[name] = learns_from_unlabelled(method)
    return "; ".join(" and ".join(learning) for learning in of_settings.values() if len(set(learning.values())) > 1)


def _is_prepared(manifest: Path, source: dict[str, Any]) -> bool:
    """Whether the data are prepared, of the local files that are there now, with as many labels held out."""
    if not manifest.is_file():
        return False
    prepared, files = read_json(manifest), input_files(source)
    if prepared.get("source", {}).get(SHARE) != source.get(SHARE) or not all(Path(file).is_file() for file in files):
        return False
    read = [origin.get("sha256") for origin in prepared.get("archives", [])]
    return all(sha256(file) in read for file in files)


def _available(source: dict[str, Any], cache: Path) -> str:
    """What was found of a source, in words; raises UserError for what would stop rule prepare."""
    kind = source["kind"]
    module = sources.source_module(kind)
    options = {key: value for key, value in source.items() if key != "kind"}
    if source.get("path"):
        corpus = checked_corpus(kind, {}, options)
        splits = corpus.splits | ({UNLABELLED: corpus.unlabelled} if corpus.unlabelled else {})
        counts = ", ".join(f"{name} {len(examples):,}" for name, examples in splits.items())
        return f"local files ({counts} examples)"
    if module.ARCHIVES:
        return package_files(module.ARCHIVES, cache)
    if not hasattr(module, "DATASET"):  # a source that neither reads files nor downloads any: it is built to see
        checked_corpus(kind, {}, options)
        return f"built by source {kind}"
    return _published(module)


def package_files(archives: tuple[Archive, ...], cache: Path) -> str:
    """Return in words which files of packages are in the cache; raises UserError for one that is not the pinned one."""
    cached = [archive for archive in archives if is_cached(cache / archive.filename)]
    for archive in cached:
        verify(archive, cache / archive.filename)
    if missing := len(archives) - len(cached):
        return f"pip will download {missing} of {len(archives)} package files to {cache}"
    return f"{len(cached)} package files in {cache}"


def _published(module: ModuleType) -> str:
    """The first place that has a published data set; raises UserError with the reason of each if none has."""
    failures = []
    for place in module.DATASET.places:
        try:
            if isinstance(place, Hub):
                reach.hub_dataset(place.id, place.revision)
            else:
                for address in place.urls:
                    if not is_cached(cached_path(address)):
                        reach.url(address)
        except UserError as error:
            failures.append(str(error))
        else:
            return str(place)
    raise UserError(
        f"{'; '.join(dict.fromkeys(failures))}. Check the network, or set source.path in the task's file to local "
        f"files ({module.DATASET.local_files})"
    )
