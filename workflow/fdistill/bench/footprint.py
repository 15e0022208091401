"""The memory that a model takes to run: measured in a process of its own, which loads it and answers one batch.

`footprint` starts the process, whose program is this file: it reads a request and writes what it measured, as JSON.
Before it measures, it does the same with a miniature of the model: what libraries load and allocate when they are first
used would be more than the memory of a small model.
"""

import gc
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS

STATUS = Path("/proc/self/status")  # of Linux: VmHWM is the peak of this program, VmRSS what it has now
UNITS = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
BEFORE = "with the libraries loaded and a miniature of the model run"
MEASURES = {
    "cpu": "peak resident memory of a process that loads the model, without a tokenizer, and answers one batch, less "
    f"what it had before, {BEFORE}",
    TRANSFORMERS: "torch.cuda.max_memory_allocated of a process that loads the model and answers one batch, less what "
    f"was allocated before, {BEFORE}",
    CTRANSLATE2: "GPU memory that the device has less of after a process has loaded the model and answered one "
    f"batch, as torch.cuda.mem_get_info says, than it had before, {BEFORE}; the runtime keeps what it has allocated",
}


def footprint(request: dict[str, Any]) -> dict[str, Any]:
    """Return {"bytes", "measure"} of a model that answers one batch in a new process.

    `request` has the `runtime`, the model's `folder` and that of its `miniature`, `device` and `threads`, the token ids
    of `sources`, `sampling` (the arguments of `SamplingConfig`), and for CTranslate2 `options`, further arguments of
    `Runtime`. Raises UserError when the process fails.
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


def _forget_peak() -> None:
    """Let the peak of this process's resident memory begin at what it has now, where the system can do that."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _measure(request: dict[str, Any]) -> dict[str, Any]:
    import torch

    from fdistill.runtime.device import set_up_device

    device, runtime = set_up_device(request["device"], request["threads"]), request["runtime"]
    load_and_answer = {TRANSFORMERS: _by_transformers, CTRANSLATE2: _by_ctranslate2}[runtime]
    load_and_answer(request, request["miniature"], device)()
    run = load_and_answer(request, request["folder"], device)
    gc.collect()
    if device != "cuda":
        _forget_peak()
        before = resident("VmRSS")
        run()
        return {"bytes": max(0, resident() - before), "measure": MEASURES["cpu"]}
    if runtime == TRANSFORMERS:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return {"bytes": torch.cuda.max_memory_allocated() - before, "measure": MEASURES[runtime]}
    free = torch.cuda.mem_get_info()[0]
    run()
    return {"bytes": max(0, free - torch.cuda.mem_get_info()[0]), "measure": MEASURES[runtime]}


def _by_transformers(request: dict[str, Any], folder: str, device: str) -> Callable[[], None]:
    """Read the tokenizer, which CTranslate2 runs without; return what loads the model and answers the batch."""
    from fdistill.data.batches import source_batch
    from fdistill.models.checkpoints import load
    from fdistill.models.outlines import describe
    from fdistill.sampling.sampler import SamplingConfig, sample_batch

    sampling, sources, outline = SamplingConfig(**request["sampling"]), request["sources"], describe(folder)

    def run() -> None:
        model = load(folder, device, reports_decoding=False, outline=outline).model
        model.module.eval()
        sample_batch(model, source_batch(model, sources), sampling, (0,), range(len(sources)))

    return run


def _by_ctranslate2(request: dict[str, Any], folder: str, device: str) -> Callable[[], None]:
    """Return what loads the converted model and answers the batch."""
    from fdistill.sampling.ctranslate2_runtime import Runtime
    from fdistill.sampling.sampler import SamplingConfig

    options = {"device": device, "threads": request["threads"], **request["options"]}
    return lambda: Runtime(folder, **options).generate(request["sources"], SamplingConfig(**request["sampling"]))


if __name__ == "__main__":
    print(json.dumps(_measure(json.load(sys.stdin))))
