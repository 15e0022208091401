"""The check of the sinks of curves: their packages, a key, a server that answers."""

import os
from collections.abc import Callable, Iterator
from typing import Any

from requests.utils import get_netrc_auth

from fdistill.config.logging_checks import LOGGING, package_problems, sinks
from fdistill.preflight import reach
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError

WANDB = "https://api.wandb.ai"


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding for each sink that section `logging` turns on."""
    missing = {problem.path[0]: problem.text for problem in package_problems(plan.study.logging)}
    for key, options in sinks(plan.study.logging).items():
        try:
            if key in missing:
                raise UserError(missing[key])
            yield Finding(f"{LOGGING}.{key}", READY.get(key, lambda _: "ready")(options))
        except UserError as error:
            yield Finding(f"{LOGGING}.{key}", str(error), problem=True)


def _wandb(options: dict[str, str | None]) -> str:
    if (mode := os.environ.get("WANDB_MODE")) in ("offline", "disabled"):
        return f"ready; nothing is sent (WANDB_MODE={mode})"
    server = os.environ.get("WANDB_BASE_URL") or WANDB
    keys = (os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"))
    if not any(keys) and get_netrc_auth(server) is None:
        raise UserError("no key; set WANDB_API_KEY, or run `wandb login`, or set WANDB_MODE=offline and send it later")
    reach.server(server)
    return f"project {options['project']}: ready"


def _mlflow(options: dict[str, str | None]) -> str:
    store = options["tracking_uri"] or os.environ.get("MLFLOW_TRACKING_URI")
    if store and store.startswith(("http://", "https://")):
        reach.server(store)
    return f"experiment {options['experiment']}: ready" + (f" ({store})" if store else "")


# Of a sink that has more to it than its package, the function that returns what is ready, or raises UserError.
READY: dict[str, Callable[[Any], str]] = {
    "tensorboard": lambda options: "ready (tensorboard --logdir curves)",
    "wandb": _wandb,
    "mlflow": _mlflow,
}
