"""Mode averaging and collapse: the fitted students against scipy's optimum of the textbook formulas, and the figure."""

import json
import re

import numpy as np
import pytest
import warm
import yaml
from fdistill.artifacts.files import read_json
from fdistill.evaluation.figures import mode_panels
from fdistill.evaluation.modes import SYMBOLS, TEACHERS, experiment
from fdistill.runtime.errors import UserError
from scipy.optimize import minimize
from snake import ROOT, snakemake
from svg import texts

TITLES = {"kl": "KL", "js": "JS", "tvd": "TVD", "rkl": "RKL"}
TERMS = {name: entry["terms"] for name, entry in yaml.safe_load((ROOT / "config/methods.yaml").read_text()).items()}
# One method whose loss has no closed form.
METHODS = {name: TERMS[name] for name in TITLES} | {
    "hellinger": [{"sequences": "student_samples", "loss": "squared_hellinger"}]
}


# --- an independent optimum: numpy, probabilities, the simplex method

LINE = np.arange(SYMBOLS)
SMALLEST = 1e-300  # instead of a probability that is too small for a float64: 0 log 0 is 0


def bell(mean, width):
    weights = np.exp(-((LINE - mean) ** 2) / (2 * width**2))
    return np.maximum(weights / weights.sum(), SMALLEST)


def mixture(modes):
    return sum(mode["share"] * bell(mode["mean"], mode["width"]) for mode in modes)


def kl(a, b):
    return np.sum(a * np.log(a / b))


FORMULAS = {
    "kl": kl,
    "rkl": lambda p, q: kl(q, p),
    "js": lambda p, q: (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2,
    "tvd": lambda p, q: np.abs(p - q).sum() / 2,
    "hellinger": lambda p, q: np.sum((np.sqrt(p) - np.sqrt(q)) ** 2) / 2,
}


def optimum(p, divergence):
    """The lowest divergence of a Gaussian from p, and its mean and width."""
    starts = [(mean, np.log(width)) for mean in (25, 50, 75) for width in (5, 20)]
    options = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000}
    found = [
        minimize(lambda x: divergence(p, bell(x[0], np.exp(x[1]))), start, method="Nelder-Mead", options=options)
        for start in starts
    ]
    best = min(found, key=lambda result: result.fun)
    return best.fun, best.x[0], np.exp(best.x[1])


@pytest.fixture(scope="module")
def result():
    return experiment(METHODS)


@pytest.mark.parametrize("number", range(len(TEACHERS)))
@pytest.mark.parametrize("method", METHODS)
def test_gradient_descent_ends_in_the_optimum_that_scipy_finds(method, number, result):
    fitted = result["teachers"][number]
    p, student = mixture(fitted["modes"]), fitted["students"][method]
    value, mean, width = optimum(p, FORMULAS[method])
    assert student["objective"] == pytest.approx(value, abs=2e-5)
    # TVD is nearly flat around its optimum.
    assert (student["mean"], student["width"]) == pytest.approx((mean, width), abs=0.2 if method == "tvd" else 2e-3)
    q = bell(student["mean"], student["width"])
    assert student["r_llh"] == pytest.approx(-np.sum(q * np.log(p)), rel=1e-9)
    assert student["r_cvg"] == pytest.approx(-np.sum(p * np.log(q)), rel=1e-9)
    assert fitted["entropy"] == pytest.approx(-np.sum(p * np.log(p)), rel=1e-9)


def test_a_student_is_the_best_of_all_starts(result):
    for fitted in result["teachers"]:
        for student in fitted["students"].values():
            assert student["objective"] == min(end["objective"] for end in student["ends"])
    rkl = {round(end["objective"], 2) for end in result["teachers"][0]["students"]["rkl"]["ends"]}
    assert rkl == {0.51, 0.72, 0.91}  # docs/methods.md: either mode, or their average


@pytest.mark.parametrize("number", range(len(TEACHERS)))
def test_kl_averages_rkl_collapses_and_the_others_lie_between(number, result):
    fitted = result["teachers"][number]
    (heavier, lighter), students = fitted["modes"], fitted["students"]
    average, collapsed = students["kl"], students["rkl"]
    for between in (students["js"], students["tvd"]):
        assert collapsed["r_llh"] < between["r_llh"] < average["r_llh"]
        assert average["r_cvg"] < between["r_cvg"] < collapsed["r_cvg"]
    assert collapsed["r_llh"] < fitted["entropy"] < average["r_cvg"]
    assert (collapsed["mean"], collapsed["width"]) == pytest.approx((heavier["mean"], heavier["width"]), abs=0.2)
    assert heavier["mean"] + heavier["width"] < average["mean"] < lighter["mean"] - lighter["width"]
    # A Gaussian that minimises KL(p‖q) has the teacher's mean and mean square.
    p, q = mixture(fitted["modes"]), bell(average["mean"], average["width"])
    for moment in (1, 2):
        assert np.sum(q * LINE**moment) == pytest.approx(np.sum(p * LINE**moment), rel=1e-4)


def test_js_averages_or_collapses_by_the_shares_of_the_modes(result):
    first, second = ({name: s["mean"] for name, s in fitted["students"].items()} for fitted in result["teachers"])
    assert abs(first["js"] - first["kl"]) < 2 and abs(second["js"] - second["rkl"]) < 2
    assert first["kl"] - first["rkl"] > 10 and second["kl"] - second["rkl"] > 5


# --- files


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which the rule has run."""
    folder = tmp_path_factory.mktemp("modes")
    snakemake("--cores", 1, "results/figures/modes.svg", directory=folder)
    return folder / "results/figures"


def test_the_rule_writes_the_same_bytes_again(made, result, tmp_path):
    again = result | {
        "teachers": [
            fitted | {"students": {name: fitted["students"][name] for name in TITLES}} for fitted in result["teachers"]
        ]
    }
    assert read_json(made / "modes.json") == again
    mode_panels(again, TITLES, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_bytes() == (made / "modes.svg").read_bytes()


def apart(shown: list[str]) -> tuple[list[str], list[float]]:
    """The texts without their decimal numbers, and these; a formula's characters stand on lines of their own."""
    joined = ["".join(text.split()) for text in shown]
    return [re.sub(r"\d+\.\d+", "#", text) for text in joined], [
        float(number) for text in joined for number in re.findall(r"\d+\.\d+", text)
    ]


def test_the_figure_has_each_students_numbers_and_the_docs_show_it(made):
    shown = texts(made / "modes.svg")
    # `snakemake results/figures/modes.svg` makes it; on another processor a last digit may differ.
    words, numbers = apart(shown)
    expected_words, expected_numbers = apart(texts(ROOT / "docs/images/modes.svg"))
    assert words == expected_words and numbers == pytest.approx(expected_numbers, abs=0.011)
    assert [text for text in shown if text in TITLES.values()] == [*TITLES.values()]
    for fitted in read_json(made / "modes.json")["teachers"]:
        assert f"entropy {fitted['entropy']:.2f}" in shown
        for student in fitted["students"].values():
            assert f"objective {student['objective']:.3f}" in shown


def test_a_title_of_the_users_is_no_formula(result, tmp_path):
    mode_panels({"teachers": result["teachers"][:1]}, {"kl": "$x$ _y"}, tmp_path / "a.svg")
    assert "$x$ _y" in texts(tmp_path / "a.svg")


def test_no_method_is_refused():
    with pytest.raises(UserError, match="--methods: there is none"):
        experiment({})


@pytest.mark.parametrize(("method", "loss"), [("mle", "nll"), ("predistill", "nll"), ("hidden", "hidden_mse")])
def test_a_method_that_needs_more_than_two_distributions_is_refused(method, loss, tmp_path):
    terms = TERMS | {"hidden": [{"sequences": "ground_truth", "loss": "hidden_mse"}]}
    methods = json.dumps({"kl": terms["kl"], method: terms[method]})
    done = warm.run_script("modes", "--methods", methods, "--json", tmp_path / "a.json", "--figure", tmp_path / "a.svg")
    assert done.returncode == 1 and f"error: {method}: the loss '{loss}' needs texts or hidden states" in done.stdout
    assert not [*tmp_path.iterdir()]
