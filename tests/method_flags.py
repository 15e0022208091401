"""The flags of distill that say what a method's objective is, made from its entry as the rule makes them."""

import json

import yaml
from fdistill.config.method_table import complete
from fdistill.losses.sequences import REPLAYED_SAMPLES
from snake import ROOT

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())


def objective_flags(name, **changes):
    """Return the flags of a method of config/methods.yaml; `changes` replace keys of its entry."""
    method = complete(METHODS[name] | changes)
    schedule = ["--schedule", json.dumps(method["schedule"])] if method["schedule"] else []
    is_replayed = any(term["sequences"] == REPLAYED_SAMPLES for term in method["terms"])
    replay = [f"--replay-size={method['replay_size']}"] if is_replayed else []
    return ["--terms", json.dumps(method["terms"]), f"--reduction={method['reduction']}", *schedule, *replay]


# DistiLLM as short runs have it: with samples from the first step on, most of them replayed before the end.
DISTILLM = objective_flags("distillm", replay_size=8, schedule={"student_share": 0.5, "course": "adaptive"})
