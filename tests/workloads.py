"""Small workloads for the tests of the benchmark."""

import tiny
import yaml
from fdistill.bench import steps
from fdistill.bench.workload import AS_IN_TEXT, Workload
from fdistill.data.limits import Limits
from snake import ROOT

FAMILIES = ("bart", "t5", "gpt2")
METHODS = {  # terms by method
    name: entry["terms"]
    for name, entry in yaml.safe_load((ROOT / "config/methods.yaml").read_text()).items()
    if name in steps.METHODS
}


def workload_of(family, lengths=AS_IN_TEXT, batch_size=5, vocab_size=40):
    """Return a workload of tiny models of one family."""
    stacks = ("decoder",) if family == "gpt2" else ("encoder", "decoder")
    teacher = {"init": "scratch", "vocab_size": vocab_size, "config": tiny.CONFIGS[family]}
    model = {"family": family, "teacher": teacher, "student": dict.fromkeys(stacks, 1)}
    return Workload.random(model, Limits(12, 10), batch_size, lengths, seed=1)
