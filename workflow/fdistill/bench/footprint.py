"""The memory that a model takes to run: measured in a process of its own, which loads it and answers one batch.

`footprint` starts the process, whose program is this file: it reads a request and writes what it measured, as JSON.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS

STATUS = Path("/proc/self/status")  # of Linux: VmHWM is the peak of this program, VmRSS what it has now
UNITS = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
MEASURES = {
    "cpu": "peak resident memory of a process that loads the model and answers one batch, less what the process had "
    "before, with Python and the libraries loaded",
    TRANSFORMERS: "torch.cuda.max_memory_allocated of a process that loads the model and answers one batch",
    CTRANSLATE2: "GPU memory that the device has less of after a process has loaded the model and answered one "
    "batch, as torch.cuda.mem_get_info says; the runtime keeps what it has allocated",
}


def footprint(request: dict[str, Any]) -> dict[str, Any]:
    """Return {"bytes", "measure"} of a model that answers one batch in a new process.

    `request` has the `runtime`, the model's `folder`, `device` and `threads`, the token ids of `sources`, `sampling`
    (the arguments of `SamplingConfig`), and for CTranslate2 the arguments of `Runtime`. Raises UserError when the
    process fails.
    """
    command = [sys.executable, __file__]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"{request['folder']}: memory could not be measured, the process that loads the model ended with status "
            f"{done.returncode} ({last}); give the machine more memory, or a smaller --batch"
        )
    return json.loads(done.stdout.splitlines()[-1])


def resident(key: str = "VmHWM") -> int:
    """Return the peak of this process's resident memory in bytes; with VmRSS, what it has now.

    Without Linux's /proc, the peak in both cases. `ru_maxrss` is not used on Linux: there it begins with that of the
    program that started this one.
    """
    if not STATUS.exists():
        return UNITS * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return 1024 * int(lines[key].split()[0])


def _measure(request: dict[str, Any]) -> dict[str, Any]:
    import torch

    from fdistill.data.batches import source_batch
    from fdistill.models import checkpoints
    from fdistill.runtime.device import set_up_device
    from fdistill.sampling.ctranslate2_runtime import Runtime
    from fdistill.sampling.sampler import SamplingConfig, sample_batch

    device = set_up_device(request["device"], request["threads"])
    on_gpu = device == "cuda"
    sampling, sources = SamplingConfig(**request["sampling"]), request["sources"]
    if on_gpu:
        torch.cuda.init()
        free = torch.cuda.mem_get_info()[0]
    before = resident("VmRSS")
    if request["runtime"] == TRANSFORMERS:
        model = checkpoints.load(request["folder"], device, reports_decoding=False).model
        model.module.eval()
        sample_batch(model, source_batch(model, sources), sampling, (0,), range(len(sources)))
    else:
        Runtime(request["folder"], device=device, threads=request["threads"], **request["options"]).generate(
            sources, sampling
        )
    if not on_gpu:
        return {"bytes": max(0, resident() - before), "measure": MEASURES["cpu"]}
    if request["runtime"] == TRANSFORMERS:
        return {"bytes": torch.cuda.max_memory_allocated(), "measure": MEASURES[TRANSFORMERS]}
    return {"bytes": max(0, free - torch.cuda.mem_get_info()[0]), "measure": MEASURES[CTRANSLATE2]}


if __name__ == "__main__":
    print(json.dumps(_measure(json.load(sys.stdin))))
