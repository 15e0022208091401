"""METEOR: the real program against a computation by hand; a program that is missing or fails."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import killing
import pytest
from fdistill.artifacts.files import write_parquet
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation import resampling
from fdistill.evaluation.metrics import MetricFailed, MetricMissing, evaluate, meteor
from fdistill.runtime.interruption import STATUS

# Words that are no function words, with no stems, synonyms or paraphrases in common but where they are equal.
HYPOTHESES = ["cat  house\nriver", "green dog ||| ", ""]
REFERENCES = [["nothing alike", "cat ||| house\r\nmountain"], ["dog green"], ["stone"]]


def meteor_entry(hypotheses=HYPOTHESES, references=REFERENCES, **options):
    return evaluate(hypotheses, references, ["meteor"], {"meteor": options})["metrics"]["meteor"]


def test_the_real_program_scores_the_corpus():
    # Denkowski & Lavie 2014, with their parameters for English. Matched: "cat house" in one chunk, "green" and "dog"
    # in two, nothing; so 4 of 5 hypothesis words, 4 of 6 words of the best references, 3 chunks.
    alpha, beta, gamma = 0.85, 0.2, 0.6
    precision, recall, fragmentation = 4 / 5, 4 / 6, 3 / 4
    mean = precision * recall / (alpha * precision + (1 - alpha) * recall)
    entry = meteor_entry()
    assert entry["missing"] is None
    assert entry["value"] == pytest.approx(100 * mean * (1 - gamma * fragmentation**beta), abs=1e-6)
    assert entry["signature"] == "METEOR-1.5|language:en|norm|refs:best|pycocoevalcap:1.2"


def test_the_packages_java_runs(monkeypatch):
    monkeypatch.setenv("PATH", "")
    java = meteor._java()
    assert meteor.RUNTIME in java
    assert subprocess.run([java, "-version"], check=False, capture_output=True).returncode == 0


def test_without_java(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(meteor, "RUNTIME", "no-such-package")
    missing = meteor_entry()["missing"]
    assert "no Java here" in missing["reason"]
    assert "apt-get install default-jre-headless" in missing["fix"] and "conda install openjdk" in missing["fix"]


def test_without_the_program(monkeypatch):
    monkeypatch.setattr(meteor, "PACKAGE", "no-such-package")
    assert meteor_entry()["missing"]["fix"] == "pip install no-such-package"


@pytest.fixture
def fake_java(tmp_path, monkeypatch):
    """A function that puts a script in the place of Java."""

    monkeypatch.setattr(resampling, "REPLICATES", resampling.CHUNK)  # fewer questions to a program that does not read

    def replace(script):
        java = tmp_path / "bin/java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\n{script}\n")
        java.chmod(0o755)
        monkeypatch.setenv("PATH", f"{java.parent}:/usr/bin:/bin")

    return replace


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Could not reserve enough space' >&2; exit 1", "Could not reserve enough space"),
        ("read line; echo 1.0 2.0; echo 'OutOfMemoryError' >&2; exit 3", "OutOfMemoryError"),
        ("read line; echo 1.0 2.0; kill -9 $$", "it received SIGKILL"),
        ("read line; echo 1.0 2.0; exit 0", "it ended with status 0"),
        ("read line; echo 'Error: specify something'; exec sleep 60", "Error: specify something"),
        ("while read line; do echo; done", "an empty answer"),
        ("exec yes nan", "its value is nan"),
    ],
)
def test_a_program_that_breaks_off_fails_the_metric_instead_of_being_n_a(fake_java, script, reason):
    fake_java(script)
    with pytest.raises(MetricFailed, match=f"metric 'meteor': .*{reason}"):
        meteor_entry()


def test_a_slow_machine_is_waited_for(fake_java):
    fake_java("sleep 1; exec yes 0.5")
    assert meteor_entry()["value"] == 50


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_script_and_the_program_at_once(fake_java, tmp_path, number):
    """The signal reaches the script alone, as from `kill` and some schedulers."""
    fake_java(f"echo $$ > {tmp_path}/pid; exec sleep 600")
    columns = {"id": ["a"], "group": ["a"], "source": ["a"], "references": [["a"]]}
    write_parquet(tmp_path / "test.parquet", columns, SPLIT)
    columns = {"id": ["a"], "hypothesis": ["a"], "n_tokens": [1], "finished": [True]}
    write_parquet(tmp_path / "generate.parquet", columns, GENERATIONS)
    arguments = ["--test", tmp_path / "test.parquet", "--generations", tmp_path / "generate.parquet"]
    arguments += ["--metrics", "bleu1", "meteor", "--task", "t", "--method", "kl", "--seed", 1]
    arguments += ["--output", tmp_path / "score.json", "--so-far", tmp_path / "so_far.json"]
    script = killing.start("score", arguments, tmp_path / "log", PATH=os.environ["PATH"])
    pid = tmp_path / "pid"
    killing.wait_for(lambda: pid.is_file() and pid.read_text().strip(), script)
    os.kill(script.pid, number)
    script.join(10)
    log = (tmp_path / "log").read_text()
    assert script.exitcode == STATUS and f"{number.name}: stopped; run again" in log and "Traceback" not in log
    # An ended process stays until its new parent has asked for its status.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        assert Path("/proc", pid.read_text().strip(), "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    assert "bleu1" in (tmp_path / "so_far.json").read_text() and not (tmp_path / "score.json").exists()


def test_a_language_without_data_is_missing():
    missing = meteor_entry(language="de")["missing"]
    assert "paraphrase-de.gz" in missing["reason"] and "meteor.language to other" in missing["fix"]
    with pytest.raises(MetricMissing, match=r"paraphrase-de\.gz"):  # preflight sees it too
        meteor.needs({"language": "de"})


def test_another_script_needs_language_other():
    hypotheses, references = ["यह किताब अच्छी है।"], [["वह किताब अच्छी थी।"]]
    missing = meteor_entry(hypotheses, references)["missing"]
    assert "100% of the references' words are in another script" in missing["reason"]
    entry = meteor_entry(hypotheses, references, language="other", tokenizer="unicode")
    assert 30 < entry["value"] < 70 and entry["signature"].endswith("|words:unicode")
    assert entry["signature"].startswith("METEOR-1.5|language:other|lower|")
    assert meteor_entry(["你好世界"], [["你好世界"]], language="other")["missing"]
