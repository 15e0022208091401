"""Published data sets from the hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fdistill.data.sources.rows import SPLITS, Row
from fdistill.errors import UserError

OUR_NAMES = {"validation": "dev", "valid": "dev"}  # of the hub's splits, where they differ


@dataclass(frozen=True)
class Hub:
    """A data set of the hub. It is read without running code of its own (no loading scripts)."""

    id: str
    licence: str
    elsewhere: str  # where its files are to be had by other means, in words
    revisions: tuple[str, ...] = ("main",)  # tried in order
    config: str | None = None

    def read(self) -> tuple[dict[str, Iterator[Row]], dict[str, str]]:
        """Its rows by split, and its origin for the manifest; UserError when it cannot be had."""
        import datasets  # here, because the configuration is checked without it

        datasets.disable_progress_bars()  # a log has no use for them
        failures = []
        for revision in self.revisions:
            try:
                found = datasets.load_dataset(self.id, self.config, revision=revision)
            except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
                failures.append(f"revision {revision}: {str(error).strip() or type(error).__name__}")
                if isinstance(error, ConnectionError):
                    break  # no other revision can be reached either
                continue
            place = f"{self.id} (hub, revision {revision})"
            splits = {OUR_NAMES.get(name, name): rows for name, rows in found.items()}
            if set(splits) != set(SPLITS):
                has = ", ".join(found)
                raise UserError(f"{place}: its splits are {has}, not train, validation and test. {self._instead}")
            origin = {"package": self.id, "version": revision, "licence": self.licence}
            return {name: _placed(splits[name], f"{place}, {name}") for name in SPLITS}, origin
        raise UserError(f"{self.id}: cannot be read from the hub ({'; '.join(failures)}). {self._instead}")

    @property
    def _instead(self) -> str:
        return (
            "Check the network, or give local files in the task file, "
            f"source.path: {{train: FILE, dev: FILE, test: FILE}} ({self.elsewhere})"
        )


def _placed(rows: Any, place: str) -> Iterator[Row]:
    for number, values in enumerate(rows, start=1):
        yield Row(f"{place}, row {number}", values)
