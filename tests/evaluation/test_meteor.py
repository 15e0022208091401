"""METEOR: the real program against a computation by hand; a program that is missing or fails."""

import subprocess

import pytest
from fdistill.evaluation.metrics import evaluate, meteor

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


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Could not reserve enough space' >&2; exit 1", "Could not reserve enough space"),
        ("read line; echo 1.0 2.0; echo 'Killed' >&2; exit 137", "Killed"),
        ("read line; echo 'Error: specify something'; exec sleep 60", "Error: specify something"),
        ("exec sleep 60", "no answer within 0.5 seconds"),
        ("while read line; do echo; done", "no answer"),
    ],
)
def test_a_program_that_dies_hangs_or_complains(tmp_path, monkeypatch, script, reason):
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(meteor, "ANSWER_TIMEOUT", 0.5)
    entry = meteor_entry()
    assert entry["value"] is None
    assert reason in entry["missing"]["reason"] and entry["missing"]["fix"]


def test_a_language_without_data_is_missing_with_the_programs_message():
    assert "paraphrase-de.gz" in meteor_entry(language="de")["missing"]["reason"]
