"""Published data sets from the hub."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fdistill.data.sources.files.rows import OUR_NAMES, SPLITS, Row, Rows
from fdistill.runtime.errors import UserError

PARQUET_BRANCH = "refs/convert/parquet"  # the hub's own conversion of repositories that have a loading script


class HubDown(UserError):
    """The hub cannot be reached, whatever is asked of it."""


@dataclass(frozen=True)
class Hub:
    """A data set of the hub. It is read without running code of its own (no loading scripts)."""

    id: str
    config: str | None = None
    revision: str = "main"
    adapt: Callable[[Iterable[Row]], Iterable[Row]] = lambda rows: rows  # to the rows of the data set's other places

    def __str__(self) -> str:
        return f"hub, {self.id}, revision {self.revision}"

    def read(self) -> tuple[Rows, list[dict[str, str]]]:
        """Its rows by split, and its origin for the manifest; UserError when it cannot be had."""
        import datasets  # here, because the configuration is checked without it

        datasets.disable_progress_bars()  # a log has no use for them
        try:
            found = datasets.load_dataset(self.id, self.config, revision=self.revision)
        except ConnectionError as error:
            raise HubDown(f"the hub is out of reach ({error})") from None
        except Exception as error:  # several libraries are at work, each with errors of its own
            said = [str(one).strip() or type(one).__name__ for one in (error, error.__cause__) if one is not None]
            raise UserError(": ".join(said)) from None
        splits = {OUR_NAMES.get(name, name): rows for name, rows in found.items()}
        if set(splits) != set(SPLITS):
            raise UserError(f"its splits are {', '.join(found)}, not train, validation and test")
        rows = {name: self.adapt(_placed(splits[name], f"{name} split")) for name in SPLITS}
        return rows, [{"package": self.id, "version": self.revision}]


def _placed(rows: Iterable[dict], split: str) -> Iterator[Row]:
    for number, values in enumerate(rows, start=1):
        yield Row(f"{split}, row {number}", values)
