"""Keeps the scores of one metric after the other, so that a run goes on where another broke off."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import remove
from fdistill.artifacts.sealed import read_sealed, write_sealed

log = logging.getLogger(__name__)

Scores = dict[str, dict[str, Any]]  # by metric


@dataclass
class ScoreStore:
    """Scores in a file, which says what they are of: `identity` holds JSON values. Without a file nothing is kept.

    A file that is damaged or has another identity is not used.
    """

    path: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    _scores: Scores = field(default_factory=dict)

    def read(self) -> Scores:
        """Return the scores that an earlier run has kept."""
        if self.path is not None and self.path.is_file():
            try:
                stored = read_sealed(self.path, {"identity": dict, "scores": {...: dict}})
            except (OSError, ValueError) as error:
                log.warning("%s is damaged (%s); its scores are computed again", self.path, error)
            else:
                if stored["identity"] == self.identity:
                    self._scores = stored["scores"]
                    log.info("computed by an earlier run: %s", ", ".join(self._scores))
        return dict(self._scores)

    def add(self, key: str, score: dict[str, Any]) -> None:
        """Keep the score of a metric, and log it."""
        missing = score["missing"]
        log.info("%s: %s", key, f"missing: {missing['reason']}" if missing else f"{score['value']:.2f}")
        if self.path is not None and not missing:  # what is missing may be there when the next run begins
            self._scores[key] = score
            write_sealed(self.path, {"identity": self.identity, "scores": self._scores})

    def remove(self) -> None:
        """Delete the file, once the scores are written where they belong."""
        if self.path is not None:
            remove(self.path)
