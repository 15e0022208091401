"""The flags of distill that say what a method's objective is, made from its entry as the rule makes them."""

import json

import yaml
from fdistill.config.method_checks import complete
from snake import ROOT

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())


def objective_flags(name, **changes):
    """Return the flags of a method of config/methods.yaml; `changes` replace keys of its entry."""
    method = complete(METHODS[name] | changes)
    schedule = ["--schedule", json.dumps(method["schedule"])] if method["schedule"] else []
    flags = [f"--reduction={method['reduction']}", f"--replay-size={method['replay_size']}", *schedule]
    return ["--terms", json.dumps(method["terms"]), *flags]


# DistiLLM as short runs have it: with samples from the first step on, most of them replayed before the end.
DISTILLM = objective_flags("distillm", replay_size=8, schedule={"student_share": 0.5, "course": "adaptive"})
