"""What ratings say, against the same computed in another way: agreement, means, tests, and what cannot be computed."""

import itertools
import math

import human_cases as cases
import numpy as np
import pytest
from chain import run
from fdistill.artifacts.files import read_json
from fdistill.evaluation.human import analysis
from fdistill.evaluation.published import read
from fdistill.evaluation.resampling import holm
from fdistill.evaluation.tables import human_table
from fdistill.evaluation.tables.markdown import to_markdown
from human_cases import rated

NAN = float("nan")


def ordinal_alpha(values, scale=5):
    """Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", by loops over pairs of ratings of one text."""
    coincidences = np.zeros((scale + 1, scale + 1))
    for of_text in values.T:
        rated = [int(value) for value in of_text if not math.isnan(value)]
        for one, other in itertools.permutations(range(len(rated)), 2):
            coincidences[rated[one], rated[other]] += 1 / (len(rated) - 1)
    n_of, n = coincidences.sum(axis=1), coincidences.sum()

    def distance(a, b):
        low, high = min(a, b), max(a, b)
        return (sum(n_of[low : high + 1]) - (n_of[a] + n_of[b]) / 2) ** 2

    pairs = list(itertools.product(range(1, scale + 1), repeat=2))
    observed = sum(coincidences[a, b] * distance(a, b) for a, b in pairs)
    by_chance = sum(n_of[a] * n_of[b] * distance(a, b) for a, b in pairs) / (n - 1)
    return 1 - observed / by_chance


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_krippendorffs(seed):
    generator = np.random.default_rng(seed)
    truth = generator.integers(1, 6, size=40)
    values = np.clip(truth + generator.integers(-1, 2, size=(4, 40)), 1, 5).astype(float)
    values[generator.random((4, 40)) < 0.2 * (seed > 0)] = NAN
    alpha, missing = analysis.agreement(values)
    assert missing is None and alpha == pytest.approx(ordinal_alpha(values), abs=1e-12) and 0.5 < alpha < 0.95


def test_agreement_that_cannot_be_computed():
    assert analysis.agreement(np.array([[1.0, 5.0]]))[1]["reason"] == "no text has two annotators' ratings"
    assert analysis.agreement(np.array([[1.0, NAN], [NAN, 2.0]]))[0] is None
    alpha, missing = analysis.agreement(np.array([[4.0, 4.0, 1.0], [4.0, 4.0, NAN]]))
    assert alpha is None and missing["reason"].startswith("all ratings are 4")


def test_t_is_students_and_paired():
    """t = mean / (s / sqrt n), one-sided; the critical value of 10 degrees of freedom at 5 % is 1.812461."""
    x = np.array([1.0, 2.0, 3.0, 0.0, -1.0, 2.0, 1.0, -2.0, 1.0, 0.5, 1.5])
    result = analysis.compare(x[None])
    t = x.mean() / (x.std(ddof=1) / math.sqrt(11))
    grid = np.linspace(t, 200, 400_001)
    density = math.gamma(5.5) / (math.sqrt(10 * math.pi) * math.gamma(5)) * (1 + grid**2 / 10) ** -5.5
    tail = np.trapezoid(density, grid)
    assert result["t"]["p"] == pytest.approx(tail, rel=1e-4) and result["difference"] == pytest.approx(x.mean())
    critical = np.array([1.0, -1.0] * 5 + [0.0])
    critical += 1.812461 * critical.std(ddof=1) / math.sqrt(11)
    assert analysis.compare(critical[None])["t"]["p"] == pytest.approx(0.05, abs=1e-6)
    assert analysis.compare(-critical[None])["t"]["p"] == pytest.approx(0.95, abs=1e-6)


def test_wilcoxon_is_that_of_all_signs():
    """Exactly: the share of the 2^n ways to put signs on the ranks whose sum is at least the observed one."""
    x = np.array([1.5, -0.2, 3.0, 0.7, -1.1, 2.0, 0.9])
    ranks = np.argsort(np.argsort(np.abs(x))) + 1
    observed = ranks[x > 0].sum()
    sums = [ranks[list(signs)].sum() for signs in itertools.product([False, True], repeat=len(x))]
    assert analysis.compare(x[None])["wilcoxon"]["p"] == pytest.approx(np.mean([s >= observed for s in sums]))


def test_tests_that_cannot_be_computed():
    for values, reason in [
        ([[1.0]], "fewer than two inputs"),
        ([[NAN, NAN]], "fewer than two inputs"),
        ([[0.0, 0.0, 0.0]], "both systems have the same ratings"),
        ([[NAN, 0.0, 0.0], [0.0, NAN, 0.0]], "both systems have the same ratings"),
        ([[1.0, -1.0], [-1.0, 1.0]], "both systems have the same mean rating in every input: annotators' differences"),
    ]:
        result = analysis.compare(np.array(values))
        assert result["t"]["p"] is result["wilcoxon"]["p"] is None and result["missing"]["reason"].startswith(reason)
    same = analysis.compare(np.full((1, 6), 1.0))
    assert same["t"]["p"] is None and same["wilcoxon"]["p"] == pytest.approx(1 / 64)
    assert "the same in every input" in same["missing"]["reason"]
    assert same["missing"]["fix"] == "read Wilcoxon's test, which needs none"  # more such inputs leave t without one


@pytest.fixture
def key(tmp_path):
    texts = {"seqkd": ["a", "b", "c", "d"], "js": ["a", "e", "f", "g"], "tvd": ["h", "i", "j", "k"]}
    return cases.key_of(tmp_path, texts)


def test_each_system_gets_the_ratings_of_its_own_texts(key):
    """SeqKD's texts are rated 2, those of JS 4, its text that is SeqKD's too 3, and those of TVD 5 by one annotator."""
    level = {"seqkd": 2, "js": 4, "tvd": 5}
    result = analysis.analyse(
        rated(key, lambda a, item: 3 if len(item["systems"]) == 2 else level[item["systems"][0]] - a), key
    )
    fluency = result["aspects"]["Fluency"]["systems"]
    assert [fluency[s]["mean"] for s in ("seqkd", "js", "tvd")] == pytest.approx(
        [(3 + 3 * 1.5) / 4, (3 + 3 * 3.5) / 4, 4.5]
    )
    assert fluency["js"]["test"]["difference"] == pytest.approx(3 * 2 / 4) and fluency["seqkd"]["test"] is None
    assert fluency["js"]["n_inputs"] == 4 and fluency["js"]["n_ratings"] == 8 and result["n_ratings"] == 33
    assert fluency["tvd"]["interval"] == pytest.approx([4.5, 4.5])


def test_the_interval_of_a_mean_is_over_inputs(tmp_path):
    """The normal approximation's, of inputs and not of ratings: two annotators who agree say no more than one."""
    key = cases.key_of(tmp_path, {system: [f"{system} {i}" for i in range(50)] for system in "ab"})
    generator = np.random.default_rng(0)
    one = {item["item"]: int(generator.integers(1, 6)) for item in key["items"]}
    entry = analysis.analyse(rated(key, lambda a, item: one[item["item"]]), key)["aspects"]["Fluency"]["systems"]["a"]
    values = [one[item["item"]] for item in key["items"] if item["systems"] == ["a"]]
    half = 1.96 * np.std(values) / math.sqrt(50)
    assert entry["interval"] == pytest.approx([np.mean(values) - half, np.mean(values) + half], abs=0.03)


def test_lower_is_better_where_the_aspect_says_so(key):
    generator = np.random.default_rng(0)
    level = {"seqkd": 2, "js": 3, "tvd": 3}
    result = analysis.analyse(rated(key, lambda a, item: level[item["systems"][0]] + generator.integers(0, 2)), key)[
        "aspects"
    ]
    fluency, missing_info = (result[title]["systems"]["tvd"]["test"] for title in ("Fluency", "MissingInfo"))
    assert fluency["difference"] == missing_info["difference"] > 0
    assert fluency["t"]["p"] < 0.2 and missing_info["t"]["p"] == pytest.approx(1 - fluency["t"]["p"])


def test_p_values_of_an_aspect_are_corrected_together(key):
    generator = np.random.default_rng(1)
    systems = analysis.analyse(rated(key, lambda a, item: generator.integers(1, 6)), key)["aspects"]["Fluency"][
        "systems"
    ]
    for test in analysis.TESTS:
        p, corrected = ([systems[s]["test"][test][which] for s in ("js", "tvd")] for which in ("p", "p_holm"))
        assert corrected == holm(p) and max(corrected) > 0


def test_a_severe_annotator_who_leaves_out_a_system_does_not_move_the_difference(key):
    """Only annotators who have rated both texts of an input count: else the other's severity would be a difference."""
    severe = analysis.analyse(
        rated(key, lambda a, item: (NAN if "tvd" in item["systems"] else 1) if a else 4 + ("tvd" in item["systems"])),
        key,
    )["aspects"]["Fluency"]["systems"]["tvd"]
    assert severe["test"]["difference"] == 1 and severe["mean"] == 5 and severe["n_ratings"] == 4


def test_a_system_that_nobody_has_rated_is_not_compared(key):
    ratings = rated(key, lambda a, item: NAN if item["systems"] == ["tvd"] else 3)
    result = analysis.analyse(ratings, key)
    entry = result["aspects"]["Fluency"]["systems"]["tvd"]
    assert entry["mean"] is None and entry["interval"] is None and entry["missing"]["reason"] == "nobody has rated it"
    assert entry["test"]["difference"] is None and entry["test"]["t"] == {"p": None, "p_holm": None}
    text = to_markdown(human_table(result, {"colours": "Colours"}, {"seqkd": "SeqKD", "js": "JS", "tvd": "TVD"}))
    assert "| TVD     |     n/a [1] |         n/a [2] |           n/a [3] |" in text
    assert "[1] Fluency: nobody has rated it. Remedy: ask the annotators to rate the rest of the kit." in text
    assert "Fluency p = n/a, fewer than two inputs have ratings of both systems (remedy: rate more inputs)" in text
    assert "Not every text was rated; of 33 ratings, Ana: 21, Björn: 21." in text


# --- the script, from annotators' files to the table


def test_script_makes_results_and_tables(tmp_path):
    texts = {system: [f"{system} {i}" for i in range(30)] for system in ("seqkd", "js", "tvd")}
    key = cases.kit(tmp_path, cases.key_of(tmp_path / "outputs", texts))
    worse = {item["item"]: item["systems"] != ["tvd"] for item in key["items"]}
    generator = np.random.default_rng(0)
    for number, name in enumerate("abc"):
        content = cases.export(key, name)
        for item, of_item in content["ratings"].items():
            of_item |= {title: int(generator.integers(1, 4)) + worse[item] for title in cases.TITLES[1:]}
        if number == 0:
            cases.write_export(tmp_path / "ratings/a.json", content)
            continue
        rows = cases.filled_csv(tmp_path, key)
        for row in rows[1:]:
            row[3:6] = [str(content["ratings"][row[0]][title]) for title in cases.TITLES]
        cases.write_csv(tmp_path / f"ratings/{name}.csv", rows, delimiter=";")
    (tmp_path / "texts.json").write_text('{"tasks": {"colours": {"title": "Colours"}}, "systems": {"tvd": "TVD"}}')
    outputs = [tmp_path / f"colours.{suffix}" for suffix in ("md", "csv", "tex", "html")]
    given = ["--key", tmp_path / "key.json", "--texts", tmp_path / "texts.json", "--task", "colours"]
    given += ["--results", tmp_path / "colours.json", "--output", *outputs]
    run("human", "table", "--ratings", *sorted((tmp_path / "ratings").iterdir()), *given)
    result = read_json(tmp_path / "colours.json")
    assert result["annotators"] == dict.fromkeys("abc", 270) and result["lineage"]["task"] == "colours"
    tvd = result["aspects"]["Hallucination"]["systems"]["tvd"]
    text = outputs[0].read_text()
    assert f"**{tvd['mean']:.2f} ± " in text and "| TVD " in text and "**Colours**" in text
    assert "Is TVD better than seqkd? Fluency p = " in text and "Krippendorff's α" in text
    assert text.count("**") == 2 + 2 * 2  # the heading, and TVD in the two aspects in which it is better
    records = outputs[1].read_text().splitlines()
    assert len(records) == 1 + 9 and records[0].startswith(
        "task,system,metric,direction,mean,low,high,n_inputs,n_ratings"
    )
    assert "\\textbf" in outputs[2].read_text() and "<title>Human evaluation: Colours</title>" in outputs[3].read_text()
    other = ["shapes" if value == "colours" else value for value in given]
    message = run("human", "table", "--ratings", tmp_path / "ratings/a.json", *other, fails=True)
    assert "key.json: belongs to another task than this run (colours, not shapes)" in message


def test_published_numbers_stand_below_the_measured_ones(tmp_path):
    key = cases.key_of(tmp_path) | {"task": "dart"}
    result = analysis.analyse(rated(key, lambda a, item: 4 + a), key)
    table = human_table(result, {"dart": "DART"}, dict(zip(cases.SYSTEMS, "STU", strict=True)), read("fdistill_table5"))
    assert table.records["published"].tolist() == [4.75, 4.72, 4.72, 1.77, 1.7, 1.57, 1.67, 1.48, 1.45]
    assert table.records["difference"].tolist()[0] == pytest.approx(-0.25)
    assert table.cells.iloc[1].tolist() == ["paper", "4.75", "1.77", "1.67"] and "Table 5" in table.notes[0]
