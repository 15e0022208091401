"""The pages of the documentation, README.md included: their fenced blocks, prose and commands."""

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from snake import ROOT

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]  # those of config/ and profiles/: test_ecosystem.py
FENCE = re.compile(r"^```(\w*)(?: title=\"(.*?)\")?\n(.*?)^```$", re.M | re.S)
CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: the page it is on, its language, its title and its text."""

    page: str
    language: str
    title: str
    text: str


BLOCKS = [
    Block(str(page.relative_to(ROOT)), *match) for page in PAGES for match in FENCE.findall(page.read_text("utf-8"))
]
FILES = [block for block in BLOCKS if block.title]  # what the reader writes into the repository


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def commands_of(block: str) -> list[str]:
    """The commands of a block, one per line or joined by backslashes."""
    return [line for line in block.replace("\\\n", " ").splitlines() if shlex.split(line, comments=True)]


PLACEHOLDER = re.compile(r"(?<=\s)[A-Z]{4,}(?=\s|$)")

# Commands in prose count as well, if they are whole.
COMMANDS = list(
    dict.fromkeys(
        [line for block in BLOCKS if block.language == "sh" for line in commands_of(block.text)]
        + [
            code
            for page in PAGES
            for code in CODE.findall(prose(page))
            if re.match(r"(snakemake|make) ", code) and not PLACEHOLDER.search(code)
        ]
    )
)


def words(command: str) -> list[str]:
    """The words of a command, without a comment."""
    return shlex.split(command, comments=True)


def run(command, folder):
    """Run a command, which must succeed; return its output."""
    process = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.returncode == 0, process.stdout[-5000:]
    return process.stdout
