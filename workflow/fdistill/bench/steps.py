"""The distillation step, ours beside the plain recipe: on the same weights, examples and lengths, in turn."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

from fdistill import training
from fdistill.bench import plain
from fdistill.data.batches import Encoded, source_batch
from fdistill.data.micro_batches import TrainingData
from fdistill.models.checkpoints import Checkpoint
from fdistill.objectives import Objective
from fdistill.sampling import Drawing
from fdistill.training import Trainer, TrainingSettings

PARTS = ("sampling", "teacher", "student", "loss", "backward", "rest")
OURS, PLAIN = "ours", "plain"


class Clock:
    """Seconds by part; time spent in a part within a part is the inner one's alone."""

    def __init__(self, device: torch.device):
        self.device, self.open = device, []
        self.seconds: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        """After all that the device has been given to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs within counts as this part."""
        began = self.now()
        self.open.append(0.0)
        try:
            yield
        finally:
            spent = self.now() - began
            self.seconds[name] += spent - self.open.pop()
            if self.open:
                self.open[-1] += spent

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted."""

        def run(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return work(*arguments, **options)

        return run


def data_for(made: Checkpoint, batch_size: int, source_tokens: int, target_tokens: int, seed: int) -> TrainingData:
    """Random sources and teacher samples of full length, no EOS before their end."""
    generator = torch.Generator().manual_seed(seed)
    special = {made.model.eos_token_id, made.model.pad_token_id}
    words = torch.tensor([i for i in range(made.model.module.config.vocab_size) if i not in special])

    def text(length: int) -> list[int]:
        picked = words[torch.randint(len(words), (length - 1,), generator=generator)].tolist()
        return [*picked, made.model.eos_token_id]

    sources = [text(source_tokens) for _ in range(batch_size)]
    targets = [text(target_tokens) for _ in range(batch_size)]
    ids = [str(i) for i in range(batch_size)]
    train = Encoded(ids, sources, [[target] for target in targets])
    return TrainingData(train, {"teacher_samples": [[target] for target in targets]})


def compare(
    teacher: Checkpoint,
    student: Checkpoint,
    terms: list[dict[str, Any]],
    method: str,
    settings: TrainingSettings,
    source_tokens: int,
    target_tokens: int,
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Seconds per step and part (medians of `repeats`), tokens per second, peak GPU memory and loss of both.

    `method` is "js" or "tvd", `terms` its entry in the table of methods. Each repeat is one step of either, the weights
    put back before it. Losses are of the same samples, those that ours has drawn.
    """
    device = student.model.device
    data = data_for(teacher, settings.batch_size, source_tokens, target_tokens, seed)
    weights = {name: value.clone() for name, value in student.model.module.state_dict().items()}
    drawing = Drawing(target_tokens)
    trainer = Trainer(student.model, teacher.model, Objective.from_config(terms), data, settings, drawing, seed)
    source = source_batch(student.model, data.train.sources)
    batch = trainer.micro_batch(list(range(settings.batch_size)), 0)
    optimizer = torch.optim.AdamW(student.model.module.parameters(), lr=settings.learning_rate, fused=True)

    def ours(clock: Clock) -> int:
        with _parts_of(trainer, clock), clock.part("rest"):
            fresh = trainer.micro_batch(batch.rows, 0)
            trainer.step([fresh])
        return trainer.tokens

    def plainly(clock: Clock) -> int:
        module, ids, mask = student.model.module, source.input_ids, source.attention_mask
        with clock.part("rest"):
            with clock.part("sampling"):
                drawn = plain.sample(module, ids, mask, target_tokens)
            halves = {"teacher": batch.labels["teacher_samples"], "student": drawn}
            with _forwards_of(module, teacher.model.module, clock), trainer.autocast, clock.part("loss"):
                value = plain.loss(method, module, teacher.model.module, ids, mask, halves)
            with clock.part("backward"):
                value.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return sum(int((labels != plain.IGNORE).sum()) for labels in halves.values())

    found: dict[str, Any] = {}
    runs: dict[str, list[tuple[dict[str, float], int]]] = {OURS: [], PLAIN: []}
    peaks = dict.fromkeys(runs, 0)
    for repeat in range(repeats + 1):
        for name, step in ((OURS, ours), (PLAIN, plainly)):
            student.model.module.load_state_dict(weights)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            clock = Clock(device)
            tokens = step(clock)
            if device.type == "cuda":
                peaks[name] = max(peaks[name], torch.cuda.max_memory_allocated(device))
            if repeat:  # the first warms up
                runs[name].append((clock.seconds, tokens))
    for name, steps in runs.items():
        seconds = [sum(parts.values()) for parts, _ in steps]
        found[name] = {
            "seconds": median(seconds),
            "parts": {part: median(parts.get(part, 0.0) for parts, _ in steps) for part in PARTS},
            "tokens_per_second": median(tokens / spent for (_, tokens), spent in zip(steps, seconds, strict=True)),
            "peak_gpu_memory_mib": round(peaks[name] / 2**20) if peaks[name] else None,
        }
    found["losses"] = _losses(trainer, teacher, method, weights)
    found["ratio"] = found[PLAIN]["seconds"] / found[OURS]["seconds"]
    return found


def _losses(trainer: Trainer, teacher: Checkpoint, method: str, weights: dict[str, Any]) -> dict[str, float]:
    """The loss of one batch, ours and plainly, on the samples that ours draws; without dropout."""
    module = trainer.student.module
    module.load_state_dict(weights)
    piece = trainer.micro_batch(list(range(trainer.settings.batch_size)), 0)
    counts = trainer.drawn(piece)
    module.eval()
    with torch.no_grad():
        ours = trainer.loss(piece, counts).item()
        ids, mask = piece.source.input_ids, piece.source.attention_mask
        halves = {"teacher": piece.labels["teacher_samples"], "student": piece.labels["student_samples"]}
        with trainer.autocast:
            plainly = plain.loss(method, module, teacher.model.module, ids, mask, halves).item()
    return {OURS: ours, PLAIN: plainly}


@contextmanager
def _parts_of(trainer: Trainer, clock: Clock) -> Iterator[None]:
    """The step's parts counted: each is a function that is put back afterwards."""
    student, teacher = trainer.student, trainer.teacher
    replaced = [
        (training, "draw", "sampling"),
        *((teacher, name, "teacher") for name in ("encode", "decode")),
        (trainer.objective.__class__, "loss", "loss"),
        (torch.Tensor, "backward", "backward"),
    ]
    before = [(place, name, place.__dict__.get(name), getattr(place, name)) for place, name, _ in replaced]
    drawing = clock.timed("sampling", training.draw)
    encode, decode = student.encode, student.decode

    def student_part(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            if torch.is_grad_enabled():  # or it is the sampler's
                with clock.part("student"):
                    return work(*arguments, **options)
            return work(*arguments, **options)

        return run

    for (place, name, part), (_, _, _, work) in zip(replaced, before, strict=True):
        setattr(place, name, clock.timed(part, work))
    training.draw = drawing
    student.encode, student.decode = student_part(encode), student_part(decode)
    try:
        yield
    finally:
        for place, name, own, work in before:
            if own is None:
                delattr(place, name)
            else:
                setattr(place, name, work)
        del student.encode, student.decode


@contextmanager
def _forwards_of(student: Any, teacher: Any, clock: Clock) -> Iterator[None]:
    student.forward = clock.timed("student", student.forward)
    teacher.forward = clock.timed("teacher", teacher.forward)
    try:
        yield
    finally:
        del student.forward, teacher.forward
