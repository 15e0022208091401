"""The engine CTranslate2 on the device."""

from fdistill.artifacts.files import read_parquet
from fdistill.bench.gpu_check.case import LIMITS, Case, ScriptFailed, run_script, text_flags
from fdistill.bench.gpu_check.outcome import Measured, NotApplicable
from fdistill.bench.gpu_check.stages import relative
from fdistill.data.encoding import read_split
from fdistill.data.schemas import SAMPLES
from fdistill.models import checkpoints
from fdistill.sampling.engine_limits import CTRANSLATE2
from fdistill.sampling.offline import sequence_nlls

# Two runtimes in float32: its sums have another order in every layer.
BOUND = 1e-4
ABSENT = ("is not installed", "cannot run this model")  # in the engine's refusals: what it lacks


def ctranslate2(case: Case) -> Measured:
    """Sample the teacher by CTranslate2, and compare its log-probabilities with the model's own on the CPU."""
    samples = case.path(f"{CTRANSLATE2}.parquet")
    models = ["--teacher", case.path("teacher/model"), "--split", case.path("train.parquet"), "--samples", samples]
    try:
        run_script("sample_teacher", [*models, "--engine", CTRANSLATE2, *case.run_flags(), *text_flags()])
    except ScriptFailed as error:
        if any(words in str(error) for words in ABSENT):
            raise NotApplicable(str(error)) from None
        raise
    columns, _ = read_parquet(samples, SAMPLES)
    teacher = checkpoints.load(case.path("teacher/model"))
    train, _ = read_split(case.path("train.parquet"), teacher, LIMITS)
    _, nlls = sequence_nlls(teacher.model, train.sources, columns["tokens"], 8, "log-probabilities")
    differences = [relative(log_prob, -nll) for log_prob, nll in zip(columns["log_prob"], nlls, strict=True)]
    return Measured("log-probability of a sample against transformers on the CPU, relative", max(differences), BOUND)
