"""Reads published data sets from the Hugging Face hub."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fdistill.data.sources import SPLITS
from fdistill.data.sources.files.rows import SPLIT_NAMES, Row, Rows
from fdistill.runtime.errors import UserError

PARQUET_BRANCH = "refs/convert/parquet"  # the hub's own conversion of repositories with a loading script


class HubDown(UserError):
    """The hub cannot be reached, so that no other data set on it can be read either."""


@dataclass(frozen=True)
class Hub:
    """A data set on the hub; it is read without running its code (no loading scripts)."""

    id: str
    config: str | None = None
    revision: str = "main"
    adapt: Callable[[Iterable[Row]], Iterable[Row]] = lambda rows: rows  # converts to the rows of other places
    test: str = "test"  # the split that is read as test; "dev" where the data set has no test split

    def __str__(self) -> str:
        return f"hub, {self.id}, revision {self.revision}"

    def read(self) -> tuple[Rows, list[dict[str, str]]]:
        """Return its rows by split and its origin for the manifest; raises UserError when it cannot be read."""
        import datasets  # imported here, because it is slow and the configuration is checked without it

        datasets.disable_progress_bars()  # they would fill the log
        try:
            dataset = datasets.load_dataset(self.id, self.config, revision=self.revision)
        except ConnectionError as error:
            raise HubDown(f"the hub cannot be reached ({error})") from None
        except Exception as error:  # several libraries take part, each with its own errors
            causes = [cause for cause in (error, error.__cause__) if cause is not None]
            raise UserError(": ".join(str(cause).strip() or type(cause).__name__ for cause in causes)) from None
        splits = {SPLIT_NAMES.get(name, name): rows for name, rows in dataset.items()}
        read = {name: name for name in SPLITS} | {"test": self.test}  # by our names
        if set(splits) != set(read.values()):
            expected = "train, validation and test" if self.test == "test" else "train and validation"
            raise UserError(f"its splits are {', '.join(dataset)}, not {expected}")
        rows = {name: self.adapt(_placed(splits[split], f"{split} split")) for name, split in read.items()}
        return rows, [{"package": self.id, "version": self.revision}]


def _placed(rows: Iterable[dict], split: str) -> Iterator[Row]:
    for number, values in enumerate(rows, start=1):
        yield Row(f"{split}, row {number}", values)
