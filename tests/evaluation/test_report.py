"""The report: the answer in words, what is marked where, costs, claims, origins, and a page that is whole in itself."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import warm
from deployment_files import write_deployment
from fdistill.artifacts.files import read_json, sha256, write_json
from fdistill.artifacts.records import record_of
from fdistill.evaluation.costs import student_costs
from fdistill.evaluation.report import COMMAND, FIGURES, report_page
from fdistill.evaluation.report.words import word_differences
from fdistill.runtime.errors import UserError
from report_files import BLEU, STUDENTS, study, write_record, write_task

ONLY_INPUTS = "One training run each, so intervals and tests are over inputs only (3 of the test split)"


def words(page, section):
    """The text of a section of the page, on one line."""
    part = page[page.index(f'<section id="{section}"') :].partition("</section>")[0]
    text = re.sub(r"</t[dh]>", " | ", part)
    return " ".join(re.sub(r"<[^>]+>", "", text).replace("&nbsp;", " ").split())


def answer(folder, *arguments, **more):
    return words(report_page(*study(folder, *arguments, **more)), "answer")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of one seed: KL and JS are tied, ENGINE has collapsed, METEOR is missing."""
    return report_page(*study(tmp_path_factory.mktemp("study")))


# The answer


def test_it_begins_with_the_answer_and_a_tie_is_no_winner(page):
    assert re.search(r"<section id=\"(\w+)\"", page)[1] == "answer"
    text = words(page, "answer")
    assert "No student is the best in BLEU-4 beyond chance. KL has the best mean, but JS (exact) is not" in text
    assert "KL has 30.00 (95 % interval 29.59 to 30.38); higher is better, and the teacher has 40.00." in text
    assert "It is ahead of JS (exact), the next, by 0.20 (95 % interval −0.33 to 0.74, p = 0.497)" in text
    assert "of ENGINE, the first that is significantly worse, by 5.00" in text
    assert "of Non-distill (MLE), the last, by 10.00" in text
    assert ONLY_INPUTS in text and "training runs each" not in text


def test_the_best_beyond_chance_and_several_seeds(tmp_path):
    text = answer(tmp_path, BLEU | {"js": 28.0}, seeds=3)
    assert "KL is the best student in BLEU-4, beyond chance. " in text
    assert "ahead of JS (exact), the next, by 2.00" in text and "first that is significantly worse" not in text
    assert "3 training runs each: intervals and tests are over runs and over inputs (3 of the test split)." in text
    assert ONLY_INPUTS not in text


def test_students_with_equal_means_are_first_together(tmp_path):
    text = answer(tmp_path, BLEU | {"js": BLEU["kl"]})
    assert "No student is the best in BLEU-4 beyond chance. KL and JS (exact) have the best mean. " in text
    assert "KL and JS (exact) have 30.00" in text and "They are ahead of ENGINE, the next, by 5.00" in text
    assert re.search(r"BLEU-4 ↑ \| KL, JS \(exact\) \| 30.00 \| 5.00 ", text)


def test_a_metric_where_lower_is_better_has_positive_leads(page):
    assert "TER ↓ | KL | 70.00 | 0.20 (−0.34 to 0.73) | JS (exact)" in words(page, "answer")


def test_a_collapsed_student_is_named_and_leads_nothing(page):
    text = words(page, "answer")
    assert "Collapsed: in Rllh/token ENGINE; in Rllh/seq. ENGINE. " in text
    assert "R_llh" not in text  # as the paper prints it
    assert re.search(r"Rllh/token ↓ \| JS \(exact\) \| 2.90", text)
    matrix = words(page, "pairs").partition("Rllh/token")[2].partition("Rllh/seq")[0]
    assert "ENGINE | −3.000 ≠ | −2.000 ≠ | −1.900 ≠ | · | −1.000 ≠ |" in matrix  # the last with the teacher
    assert "JS (exact) | −1.100 ▲ | −0.100 | · | +1.900 ≠ | +0.900 ≠ |" in matrix


def test_a_metric_that_no_student_has_is_named_once_with_its_remedy(page):
    text = words(page, "answer")
    assert "METEOR is n/a for Non-distill (MLE), KL, JS (exact) and ENGINE: no Java. Remedy: install Java." in text
    assert "METEOR ↑ | – | – | – | – |" in text and "[1] METEOR: no Java." in words(page, "main")


def test_a_student_without_a_value_is_not_compared(tmp_path):
    whole = report_page(*study(tmp_path, BLEU | {"js": None}))
    text = words(whole, "answer")
    assert "BLEU-4 is n/a for JS (exact): not every seed has a value" not in text
    assert "BLEU-4 is n/a for JS (exact): no Java. Remedy: install Java." in text
    assert "KL is the best student in BLEU-4, beyond chance." in text
    assert "JS (exact) | – | – | · | – |" in words(whole, "pairs").partition("BLEU-4")[2].partition("TER")[0]
    assert "JS (exact) | – | 10.0 | 10.0 | 20.0 |" in words(whole, "cost")


@pytest.mark.parametrize(
    ("bleu", "said"),
    [
        ({"teacher": 40.0, "copy": 5.0, "kl": 30.0}, "KL is the only student with a value in BLEU-4: there is none to"),
        (dict.fromkeys(BLEU), "There is no answer: no student has a value in a metric."),
        (BLEU | {"copy": 39.8}, "its interval reaches that of Copy of the source, which needs no model."),
    ],
    ids=["one student", "no value", "a teacher that has learnt nothing"],
)
def test_what_there_is_no_answer_to(bleu, said, tmp_path):
    assert said in answer(tmp_path, bleu)


def test_a_teacher_that_beats_the_trivial_systems_is_not_doubted(page):
    assert "may have learnt nothing" not in page


# Below it


def test_the_matrix_marks_what_is_significant_in_the_metrics_direction(page):
    text = words(page, "pairs")
    bleu = text.partition("BLEU-4 ↑")[2].partition("TER")[0]
    assert "KL | +10.00 ▲ | · | +0.20 | +5.00 ▲ |" in bleu and "Non-distill (MLE) | · | −10.00 ▼ |" in bleu
    assert "KL | −10.00 ▲ | · | −0.20 | −5.00 ▲ |" in text.partition("TER ↓")[2]
    assert '<td class="better">+10.00 ▲</td>' in page


def test_a_students_cost_has_what_it_needs_but_not_the_teacher(page, tmp_path):
    text = words(page, "cost")
    assert "Non-distill (MLE) | 20.00 | 10.0 | 0.0 | 10.0 | 0.000 |" in text
    assert "KL | 30.00 | 10.0 | 10.0 | 20.0 | 0.000 |" in text  # starts from MLE's student; the teacher took 900 s
    assert "Measured on: Xeon, 2 CPUs, no GPU." in text and "Times of different machines" not in text
    files, settings = study(tmp_path)
    record_of(tmp_path / "d2t/js/seed1/train.jsonl").unlink()
    text = words(report_page(files, settings), "cost")
    assert "JS (exact) | 29.80 | – | – | – | – |" in text
    assert "No times of JS (exact): a record of its training is missing, or what training needed. Run" in text


def test_costs_are_means_over_seeds(tmp_path):
    write_task(tmp_path, "d2t", BLEU, 3, {})
    logs = [("kl", tmp_path / f"d2t/kl/seed{seed}/train.jsonl") for seed in (1, 2, 3)]
    cost = student_costs(logs)["kl"]
    assert (cost.training, cost.before, cost.seconds) == (10, 10, 20)


def test_costs_of_moved_results_have_what_training_needs_too(tmp_path, monkeypatch):
    """Records name files as the job was given them, relative to the folder that it ran in."""
    monkeypatch.chdir(tmp_path)
    write_task(Path("studies/one"), "d2t", BLEU, 1, {})
    expected = student_costs([("kl", Path("studies/one/d2t/kl/seed1/train.jsonl"))])
    assert expected["kl"].before == 10
    (tmp_path / "elsewhere").mkdir()
    Path("studies/one").rename("elsewhere/copy")
    for folder, path in (("elsewhere", Path("copy/d2t")), ("/", tmp_path / "elsewhere/copy/d2t")):
        monkeypatch.chdir(tmp_path / folder)
        assert student_costs([("kl", path / "kl/seed1/train.jsonl")]) == expected
    for needed in (tmp_path / "elsewhere/copy/d2t/mle").rglob("*.provenance.json"):
        needed.unlink()
    lost = tmp_path / "elsewhere/copy/d2t"
    assert "kl" in student_costs([("kl", lost / "kl/seed1/train.jsonl")])  # MLE's files are there, as the user's own
    shutil.rmtree(lost / "mle")
    assert student_costs([("kl", lost / "kl/seed1/train.jsonl")]) == {}


@pytest.mark.parametrize(
    ("reference", "output", "expected"),
    [
        ("a b c", "a b c", [("same", "a b c")]),
        ("a b c", "a x c d", [("same", "a"), ("left out", "b"), ("added", "x"), ("same", "c"), ("added", "d")]),
        ("a b", "", [("left out", "a b")]),
        ("", "a", [("added", "a")]),
        ("", "", []),
    ],
)
def test_differences_between_words(reference, output, expected):
    assert word_differences(reference, output) == expected


def test_examples_mark_differences_by_more_than_a_colour(tmp_path):
    whole = report_page(*study(tmp_path, outputs={"kl": "a list of titles", "js": ""}))
    assert "<dd>a list of <del>names</del> <ins>titles</ins></dd>" in whole
    assert "<dt>JS (exact)</dt><dd><del>a list of names</del></dd>" in whole
    style = whole.partition("</style>")[0]
    assert "ins { text-decoration: underline" in style and 'content: " [left out: "' in style


def test_data_with_leakage(page):
    text = words(page, "data")
    assert "botocore 1.0 (Apache-2.0) | 1,000 | 100 | 3 | 100 | 6 |" in text
    assert "botocore 1.0 (Apache-2.0) | 0.0 | 12.5 | 50.0 | 10.0 | 0.0 | 12.5 | 50.0 | 10.0 |" in text


def test_every_file_has_its_command_and_hash(page, tmp_path):
    files, settings = study(tmp_path / "with 'space")
    text = words(report_page(files, settings), "origins").replace("&#39;", "'").replace("&#34;", '"')
    path = files.metrics["d2t", "kl"]
    quoted = "'" + str(path).replace("'", "'\"'\"'") + "'"
    assert f"{COMMAND} {quoted} | {sha256(path)[:16]} |" in text
    assert "Code: c0ffee." in text and "Packages: python 3.11, torch 2.13." in text
    assert f"No record says what made {files.risks['d2t', 'teacher']}" in text


def test_claims_with_their_verdicts_and_tests(page, tmp_path):
    text = words(page, "claims")
    assert "1. KL is better than &lt;MLE&gt;. | ✓ holds | ✓ holds |" in text
    assert "2. JS beats KL. | ? undecided | ? undecided |" in text and "4. KL is fast. | – n/a | – |" in text
    assert "✓ holds. 2 cases: 2 for it. With fewer than 20 test inputs" in text and "Tests of this claim: 2" in text
    assert "Data-to-text | TER ↓ | KL | Non-distill (MLE) | −10.000 |" in text
    assert "– n/a. Nothing in this study tests it. Reason: no time was measured. Remedy: run it here. Source" in text
    assert "There is one seed: intervals and p-values are over test inputs" in text
    files, settings = study(tmp_path)
    write_json(files.claims, {"claims": [read_json(files.claims)["claims"][0] | {"verdict": "maybe"}], "seeds": 1})
    with pytest.raises(UserError, match=r"claims\[0\].verdict' must be 'holds' or 'fails'"):
        report_page(files, settings)
    claims = read_json(study(tmp_path)[0].claims)
    write_json(files.claims, claims | {"seeds": 5})
    with pytest.raises(UserError, match="its claims are of a study with 5 seeds, which this one has not"):
        report_page(files, settings)
    claims["claims"][0]["tasks"] = {"other": "holds"}
    write_json(files.claims, claims)
    with pytest.raises(UserError, match="its claims are of a study with task 'other', which"):
        report_page(files, settings)


def test_the_matrix_of_the_main_metric_is_shown_first(tmp_path):
    files, settings = study(tmp_path)
    for path in files.metrics.values():
        content = read_json(path)
        write_json(path, content | {"metrics": dict(reversed(content["metrics"].items()))})
        write_record(path, "metrics", 1, [])
    shown, others = words(report_page(files, settings), "pairs").split("The other metrics and risks of Data-to-text: ")
    assert "TER ↓" in shown and "BLEU-4" not in shown and "BLEU-4 ↑" in others


@pytest.mark.parametrize("kind", ["sizes", "mixture", "curves"])
def test_a_figure_that_the_study_does_not_have_has_no_section(kind, tmp_path):
    files, settings = study(tmp_path)
    others = {place: path for place, path in files.figures.items() if place[1] != kind}
    with_it = others | {("d2t", kind): files.figures["d2t", "risk"]}
    assert f'id="{kind}"' not in (whole := report_page(replace(files, figures=others), settings))
    assert f'href="#{kind}"' not in whole
    assert f'id="{kind}"' in (whole := report_page(replace(files, figures=with_it), settings))
    assert f'href="#{kind}"' in whole and FIGURES[kind] in words(whole, "origins")


# The page


HOSTILE = "</title></style><script>parent.hacked = 1</script><img src=x onerror='parent.hacked = 1'>\u202e\"&"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return report_page(
        *study(
            tmp_path_factory.mktemp("hostile"),
            tasks={"d2t": HOSTILE},
            titles={"kl": HOSTILE, "copy": HOSTILE},
            outputs=dict.fromkeys(BLEU, HOSTILE),
        )
    )


def test_texts_cannot_become_elements(hostile):
    assert "<script" not in hostile and "<img src=x" not in hostile
    assert "&lt;script&gt;parent.hacked" in hostile and "\u202e" not in hostile


class Elements(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def of(self, *tags):
        return [attributes for tag, attributes in self.found if tag in tags]


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_the_page_is_whole_in_itself_and_small(name, request):
    whole = request.getfixturevalue(name)
    elements = Elements(whole)
    assert not elements.of("script", "link", "iframe", "object", "base", "form")
    assert elements.of("img") and all(image["src"].startswith("data:image/svg+xml") for image in elements.of("img"))
    assert all(link["href"].startswith("#") for link in elements.of("a"))
    assert not re.search(r"url\(|@import", whole.partition("</style>")[0])
    [policy] = [meta["content"] for meta in elements.of("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")
    assert len(whole.encode()) < 1_000_000


def test_the_page_can_be_read_by_keyboard_and_screen_reader(page):
    elements = Elements(page)
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert all(len(elements.of(landmark)) == 1 for landmark in ("header", "nav", "main"))
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    targets = {link["href"][1:] for link in elements.of("a")}
    assert len(ids) == len(set(ids)) and targets <= set(ids)
    assert {section["id"] for section in elements.of("section")} | {"main-content"} == targets
    assert {section["aria-labelledby"] for section in elements.of("section")} <= set(ids)
    assert elements.of("a")[0] == {"class": "skip", "href": "#main-content"}
    assert all(image["alt"] for image in elements.of("img"))
    scrolling = [area for area in elements.of("div") if area.get("class") == "scroll"]
    assert all(area["tabindex"] == "0" and area["role"] == "region" and area["aria-label"] for area in scrolling)
    assert len(elements.of("caption")) == len(elements.of("table"))
    assert all(heading["scope"] in ("col", "row", "colgroup") for heading in elements.of("th"))
    assert elements.of("html") == [{"lang": "en"}]


def test_the_script_gives_the_same_bytes_in_another_process(tmp_path):
    files, settings = study(tmp_path, tasks={"d2t": "Data-to-text", "mt": "EN & RO"})
    expected = report_page(files, settings)
    assert report_page(files, settings) == expected
    write_json(tmp_path / "options.json", {"options": ["--cores", "1", "--config", "results=a b"]})
    places = {
        "--metrics": files.metrics,
        "--risks": files.risks,
        "--generations": files.generations,
        "--figures": files.figures,
    }
    arguments = [part for flag, by in places.items() for part in (flag, *(f"{t}/{s}={p}" for (t, s), p in by.items()))]
    by_task = {"--comparisons": files.comparisons, "--manifests": files.manifests, "--tests": files.tests}
    arguments += [part for flag, by in by_task.items() for part in (flag, *(f"{t}={p}" for t, p in by.items()))]
    arguments += ["--logs", *(f"{task}/{system}={path}" for task, system, path in files.logs)]
    arguments += ["--claims", files.claims]
    arguments += ["--teacher", "teacher=Teacher", "--trivial", "copy=Copy of the source", "--count", 1, "--students"]
    arguments += [f"{system}={title}" for system, title in STUDENTS.items()]
    write_json(
        tmp_path / "texts.json", {"tasks": {task: {"description": "records"} for task in settings.tasks}, "systems": {}}
    )
    arguments += ["--tasks", "d2t=Data-to-text", "mt=EN & RO", "--texts", tmp_path / "texts.json"]
    output = tmp_path / "report/index.html"
    done = warm.run_script("report", *arguments, "--output", output)
    assert done.returncode == 0, done.stdout
    assert output.read_text(encoding="utf-8") == expected
    wrong = [str(part).replace("/curves=", "/curve=") for part in arguments]
    done = warm.run_script("report", *wrong, "--output", tmp_path / "other.html")
    assert done.returncode == 1 and "unknown kind 'curve'; did you mean 'curves'?" in done.stdout
    done = warm.run_script("report", *arguments, "--options", tmp_path / "options.json", "--output", output)
    assert done.returncode == 0, done.stdout
    assert "snakemake --cores 1 --config &#39;results=a b&#39; -- " in output.read_text(encoding="utf-8")


def test_a_picture_that_was_replaced_is_refused(tmp_path):
    files, settings = study(tmp_path)
    picture = files.figures["d2t", "risk"]
    write_record(picture, "figures", 1, [])
    picture.write_text("<svg></svg>")
    with pytest.raises(UserError, match=r"d2t.risk.svg: was changed or replaced"):
        report_page(files, settings)


def test_what_models_cost_in_use_is_shown_if_it_was_measured(page, tmp_path):
    assert "In use" not in words(page, "cost")
    files, settings = study(tmp_path)
    task = next(iter(settings.tasks))
    deployments = {(task, system): write_deployment(tmp_path, system, task, lineage={}) for system in ("teacher", "kl")}
    text = words(report_page(replace(files, deployments=deployments), settings), "cost")
    assert "In use" in text and "CTranslate2, int8" in text and "200.0 (150.0–300.0)" in text
