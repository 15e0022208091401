"""Files of claims: what is read, the shipped ones beside the paper's tables, and mistakes by file and key."""

from pathlib import Path

import pytest
import yaml
from fdistill.artifacts.yaml_files import read_mapping
from fdistill.config.claim_checks import KEYS, read_claims
from fdistill.config.files import Report
from fdistill.evaluation import published
from fdistill.evaluation.metrics import METRICS
from scipy import stats
from small_config import CHAT, CLAIMS, MAIN, MERGED, OPEN, STUDY, UNTESTED, put
from snake import ROOT

OWN = "config/claims/own.yaml"
CLAIM = {"text": "KL beats MLE.", "source": "a paper", "better": ["kl"], "than": ["mle"]}


def test_a_study_has_the_files_that_it_names(project):
    assert project.load().claims == [project.root / CLAIMS]
    project.write(OWN, {"hard": CLAIM | {"metrics": ["bleu4", "r_llh_token"], "tasks": ["web"]}})
    study = project.load(claims=[CLAIMS, OWN])
    claims = read_claims(study.claims, report := Report(project.root))
    assert not report.lines and list(claims) == ["fast", "hard"]
    assert claims["fast"] == dict.fromkeys(KEYS) | UNTESTED


def test_a_later_configuration_replaces_the_list(project):
    project.write(OWN, {"hard": CLAIM})
    project.write(OPEN, {"claims": [OWN]})
    assert project.load().claims == [project.root / OWN]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("soft.better", ["kll"], "soft.better[0]: unknown method 'kll'; did you mean 'kl'?"),
        ("soft.better", ["kl-deep", "kll-deep"], "soft.better[1]: unknown method 'kll-deep'; known: mle"),
        ("soft.than", ["mle", "seqkdd"], "soft.than[1]: unknown method 'seqkdd'; did you mean 'seqkd'?"),
        ("soft.metrics", ["blue4"], "soft.metrics[0]: unknown metric or risk 'blue4'; did you mean 'bleu4'?"),
        ("soft.metrics", ["r_cvg"], "soft.metrics[0]: unknown metric or risk 'r_cvg'; did you mean 'r_cvg_token'?"),
        ("soft.metrics", ["teacher_dist"], "soft.metrics[0]: unknown metric or risk 'teacher_dist'; known: bleu1"),
        ("soft.tasks", ["wep"], "soft.tasks[0]: unknown task 'wep'; did you mean 'web'?"),
        ("soft.beter", ["kl"], "soft.beter: unknown key; did you mean 'better'?"),
        ("soft.better", [], "soft.better: [] is not allowed; must be a list (each text; at least 1; no duplicates)"),
        ("soft.better", "kl", 'soft.better: "kl" is not allowed; must be a list'),
        ("soft.text", ..., "soft.text: missing; set text (The claim in one sentence.)"),
        ("soft.source", " ", "soft.source: "),
        ("soft.better", ..., "soft.better: missing; set a list of methods, or measured, or under"),
        ("soft.at_least", "one", 'soft.at_least: "one" is not allowed; must be a number'),
        ("soft.at_least", float("inf"), "soft.at_least: "),
        (
            "soft.measured",
            "speed",
            'soft.measured: "speed" is not allowed; must be one of offline_speedup, decoder_layer, null',
        ),
        ("soft.grows_with", "length", 'soft.grows_with: "length" is not allowed; must be one of teacher_dist, null'),
        ("soft.than", ..., "soft: has none of than, than_one_of, than_on; set one of them"),
        ("soft.than_one_of", ["mle"], "soft: has than and than_one_of; set one of them"),
        ("soft.than", ["kl", "mle"], "soft.than[0]: 'kl' is under better too; remove it from one of them"),
        ("soft.missing", {"reason": "no data"}, "soft.missing.fix: missing; set text (What would help.)"),
        ("soft", None, "soft: null is not allowed; must be a mapping"),
    ],
)
def test_one_mistake_is_one_line_with_file_and_key(project, key, value, text):
    project.write(CLAIMS, put({"soft": CLAIM}, key, value))
    (line,) = project.mistakes()
    assert line.startswith(f"{CLAIMS}: {text}")


def test_a_claim_that_cannot_be_tested_names_no_methods(project):
    project.load()
    project.write(CLAIMS, {"fast": UNTESTED | {"better": ["kl"], "tasks": ["web"]}})
    lines = project.mistakes()
    assert [line.split(": ")[1] for line in lines] == ["fast.better", "fast.tasks"]
    assert all("not used with missing" in line for line in lines)


def test_a_name_is_of_one_claim(project):
    project.write(OWN, {"fast": CLAIM})
    assert project.mistakes(claims=[CLAIMS, OWN]) == [
        f"{OWN}: fast: {CLAIMS} has a claim of this name; choose another name"
    ]


def test_files_that_cannot_be_read(project):
    assert project.mistakes(claims=["config/clams.yaml"]) == ["config/clams.yaml: no such file"]
    project.write(CLAIMS, "soft: [")
    (line,) = project.mistakes()
    assert line.startswith(f"{CLAIMS}: line 2: not YAML")
    project.write(CLAIMS, "{}")
    (line,) = project.mistakes()
    assert line.startswith(f"{CLAIMS}: {{}} is not allowed; must be a mapping with at least one entry")


def test_a_wrong_list_is_a_mistake_of_the_study(project):
    project.write(MAIN, STUDY | {"claims": CLAIMS})
    (line,) = project.mistakes()
    assert line.startswith(f'{MAIN}: claims: "{CLAIMS}" is not allowed; must be a list')
    project.write(MAIN, STUDY)
    (line,) = project.mistakes(claims=[])
    assert line.startswith(f"{MERGED}: claims: [] is not allowed")


# --- the shipped claims, which are the paper's ---

SHIPPED = read_claims([ROOT / CLAIMS], Report(ROOT))
TABLES = [published.read(f"fdistill_table{number}") for number in (2, 3)]


def printed(task: str, metric: str, system: str) -> float | None:
    numbers = [table.number(task, metric, system) for table in TABLES]
    return next((float(number) for number in numbers if number is not None), None)


def agreement(claim: dict) -> list[bool]:
    """Whether the paper's own numbers have the direction of the claim: for each task, metric and better method."""
    agree = []
    for task, rows in {**TABLES[1].tasks, **TABLES[0].tasks}.items():
        if claim["tasks"] and task not in claim["tasks"]:
            continue
        for metric in claim["metrics"] or [key for key in rows[0] if key in METRICS]:
            sign = 1 if metric in METRICS and METRICS[metric].better == "higher" else -1
            for better in claim["better"]:
                others = claim["than"] or claim["than_one_of"]
                differences = [sign * (printed(task, metric, better) - printed(task, metric, than)) for than in others]
                found = [difference > 0 for difference in differences]
                agree += [any(found)] if claim["than_one_of"] else found
    return agree


COMPARED = [name for name, claim in SHIPPED.items() if claim["better"] and claim["at_least"] is None]


@pytest.mark.parametrize("name", [name for name in COMPARED if not SHIPPED[name]["grows_with"]])
def test_the_papers_own_numbers_have_the_direction_of_its_claim(name):
    agree = agreement(SHIPPED[name])
    assert len(agree) >= 3 and 3 * sum(agree) >= 2 * len(agree), f"{sum(agree)} of {len(agree)}"


def test_the_papers_own_numbers_are_within_its_claims_bounds():
    table = published.read("fdistill_table4")
    bounds = {name: claim["at_least"] for name, claim in SHIPPED.items() if claim["at_least"] is not None}
    assert bounds == {"offline_quality_js": -1, "offline_quality_tvd": -1, "offline_speed": 2}
    for method in ("js", "tvd"):
        assert float(table.number("dart", "speedup", method)) > bounds["offline_speed"]
        for metric in ("bleu4", "bertscore"):
            offline, online = (float(table.number("dart", metric, name)) for name in (method, f"{method}_online"))
            assert offline - online > bounds[f"offline_quality_{method}"]


def test_the_papers_own_tasks_have_the_order_of_its_claim():
    """RKL gains on KL with TeacherDist, though four tasks do not show it."""
    assert SHIPPED["teacher_dist"]["grows_with"] == "teacher_dist"
    gains = {}
    for task, rows in TABLES[0].tasks.items():
        metric = next(key for key in rows[0] if key in METRICS)
        varied = float(TABLES[1].number(task, "teacher_dist", "teacher"))
        gains[varied] = printed(task, metric, "rkl") - printed(task, metric, "kl")
    assert len(gains) == 4 and stats.spearmanr(list(gains), list(gains.values())).statistic > 0.5, gains


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (
            {"measured": "offline_speedup"},
            "soft: has neither of at_least and at_most; say how large offline_speedup is",
        ),
        (
            {"better": ["kl"], "than": ["mle"], "at_least": 1, "at_most": 1},
            "soft.at_most: must be larger than at_least",
        ),
        ({"measured": "decoder_layer", "at_least": 2, "metrics": ["bleu4"]}, "soft.metrics: not used with measured"),
        (
            {"better": ["kl"], "than": ["mle", "seqkd"], "grows_with": "teacher_dist"},
            "soft.than: must be a list of one",
        ),
        ({"better": ["kl"], "than_one_of": ["mle"], "at_least": 1}, "soft.at_least: not used with than_one_of"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(project, claim, text):
    project.write(CLAIMS, {"soft": {"text": "A claim.", "source": "a paper"} | claim})
    (line,) = project.mistakes()
    assert line.startswith(f"{CLAIMS}: {text}")


def test_tasks_that_a_claim_compares(project):
    """They exist, differ, share a source in the study that has both, and have scores in common but no risks."""

    def refused(**changes):
        project.write(CLAIMS, {"pair": {"text": "A claim.", "source": "a paper", "better": ["kl"]} | changes})
        (line,) = project.mistakes(tasks=["web", "chat"])
        return line.removeprefix(f"{CLAIMS}: pair")

    project.write("config/tasks/chat.yaml", CHAT)
    assert refused(than_on={"web": "chatt"}).startswith(".than_on.web: unknown task 'chatt'; did you mean 'chat'?")
    assert refused(than_on={"wep": "chat"}).startswith(".than_on.wep: unknown task 'wep'; did you mean 'web'?")
    assert refused(than_on={"web": "web"}) == ".than_on.web: is the same task; name another one"
    assert refused(than_on={"web": "chat"}, than=["mle"]) == ": has than and than_on; set one of them"
    assert refused(than_on={"web": "chat"}, tasks=["web"]).startswith(".tasks: not used with than_on")
    assert refused(than_on={"web": "chat"}, metrics=["r_cvg_token"]).startswith(".metrics[0]: r_cvg_token is about")
    assert refused(than_on={}).startswith(".than_on: {} is not allowed; must be a mapping")
    project.write("config/tasks/chat.yaml", put(CHAT, "source.train_size", 20))
    assert refused(than_on={"web": "chat"}) == (
        ".than_on.web: 'chat' has another source than 'web' (train_size), so that their test inputs may differ; give "
        "both the same, or leave one out of the study"
    )
    assert project.load().compared_tasks == []  # a study of one of them
    project.write("config/tasks/chat.yaml", CHAT)
    assert project.load(tasks=["web", "chat"]).compared_tasks == ["web", "chat"]


def test_every_shipped_claim_says_where_the_paper_makes_it():
    text = yaml.safe_load((ROOT / CLAIMS).read_text())
    assert list(SHIPPED) == list(text) and read_mapping(ROOT / CLAIMS, CLAIMS) == text
    for claim in SHIPPED.values():
        assert claim["source"].startswith("Wen et al. 2023, section 3.2, ") and "Table" in claim["source"]
    assert Path(ROOT / CLAIMS).is_file()
