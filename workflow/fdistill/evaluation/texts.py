"""What tables and figures call tasks and systems: texts in a file, since a command line cannot hold every text."""

from dataclasses import dataclass, field
from pathlib import Path

from fdistill.artifacts.files import read_json


@dataclass(frozen=True)
class Texts:
    """The texts of tasks (title, description, stands_for) and the titles of systems, by name."""

    tasks: dict[str, dict[str, str]] = field(default_factory=dict)
    systems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None) -> "Texts":
        """Return the texts in a JSON file; none without a file. Raises UserError for a file of another form."""
        if path is None:
            return cls()
        form = 'write it as {"tasks": {TASK: {"title": TEXT, ...}}, "systems": {SYSTEM: TEXT}}'
        content = read_json(path, {"tasks": {...: {...: str}}, "systems": {...: str}}, form)
        return cls(content["tasks"], content["systems"])

    def of_task(self, task: str, key: str, default: str) -> str:
        """Return the title, description or stands_for of a task; `default` if there is none."""
        return self.tasks.get(task, {}).get(key) or default

    def named_tasks(self, pairs: list[tuple[str, str]]) -> dict[str, str]:
        """Return titles by task: those in `pairs`, else those of the file, else the task's name."""
        return {task: title or self.of_task(task, "title", task) for task, title in pairs}

    def named_systems(self, pairs: list[tuple[str, str]]) -> dict[str, str]:
        """Return titles by system, as `named_tasks` does."""
        return {system: title or self.systems.get(system, system) for system, title in pairs}
