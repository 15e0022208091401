"""Training objectives: a method's losses, each on one kind of sequence.

A method (an entry of `config/methods.yaml`) is a list of terms; a term is one loss on one kind of sequence. The
expectation over sequences is estimated by one Monte-Carlo sample under stop-gradient; the gradient flows through the
step-wise losses only (Wen et al. 2023, Eqs. 5-12 and section 7).
"""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from fdistill.losses.inputs import EXAMPLES, LABELS, LossInputs
from fdistill.losses.schedule import Schedule
from fdistill.losses.sequences import FROM_STUDENT, ONLINE_TEACHER_SAMPLES, SEQUENCES
from fdistill.losses.step_losses import LOSSES
from fdistill.runtime.errors import UserError

# What a loss is averaged over: all positions alike, or each example's positions first and then the examples.
TOKENS = "tokens"
REDUCTIONS = (TOKENS, EXAMPLES)


@dataclass(frozen=True)
class Term:
    """One summand of an objective: weight · τ² · loss, on one kind of sequence.

    The temperature τ divides the logits; losses that compare layers read none.
    """

    sequences: str
    loss: str
    weight: float = 1.0
    temperature: float = 1.0
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        """Raise UserError for an unknown kind of sequence, loss or parameter, and for a temperature of no logits."""
        if self.sequences not in SEQUENCES:
            raise UserError(f"terms.sequences: unknown '{self.sequences}'; allowed: {', '.join(SEQUENCES)}")
        if self.loss not in LOSSES:
            raise UserError(f"terms.loss: unknown '{self.loss}'; allowed: {', '.join(LOSSES)}")
        for name in self.parameters:
            if name not in LOSSES[self.loss].parameters:
                allowed = ", ".join(LOSSES[self.loss].parameters) or "none"
                raise UserError(f"terms.parameters: '{self.loss}' has no parameter '{name}'; allowed: {allowed}")
        if self.temperature != 1 and LOSSES[self.loss].compares_layers:
            raise UserError(f"terms.temperature: not used with loss '{self.loss}', which reads no logits; remove it")

    def evaluate(self, inputs: LossInputs, counts: dict[str, int]) -> Tensor:
        """Return the term's share of the batch loss, weight · τ² · mean of the values at valid positions.

        `counts` are the numbers of valid positions and of examples of the *whole* effective batch, so that the
        micro-batches of gradient accumulation add up to the mean over it: over positions or, where `inputs` has
        weights, over each example's positions and then over examples.
        """
        inputs.temperature = self.temperature
        values = LOSSES[self.loss].function(inputs, **self.parameters)
        layers = values if isinstance(values, list) else [(values, LABELS)]
        total = 0.0
        for value, positions in layers:
            weighted = value * inputs.weights[positions] if inputs.weights else value
            total = total + weighted.sum() / max(1, counts[EXAMPLES if inputs.weights else positions])
        return self.weight * self.temperature**2 * total


@dataclass(frozen=True)
class Objective:
    """The terms of a method, how their values are averaged, and which of them a step uses.

    The keys of the same names in the configuration's schema describe them.
    """

    terms: tuple[Term, ...]
    reduction: str = TOKENS
    schedule: Schedule | None = None
    replay_size: int = 1000

    @classmethod
    def from_config(
        cls, terms: list[dict[str, Any]], schedule: dict[str, Any] | None = None, **others: Any
    ) -> "Objective":
        """Build an objective from keys of a method, as in `config/methods.yaml`; UserError for unknown names."""
        return cls(tuple(Term(**term) for term in terms), schedule=schedule and Schedule(**schedule), **others)

    @classmethod
    def of_method(cls, method: dict[str, Any]) -> "Objective":
        """Build the objective of an entry of `config/methods.yaml` that has its defaults."""
        return cls.from_config(**{key.name: method[key.name] for key in fields(cls)})

    def kinds(self, of_student: bool) -> tuple[str, ...]:
        """Return the kinds of sequence that a step uses: with a schedule, either the student's own or the others."""
        if self.schedule is None:
            return self.sequences
        return tuple(kind for kind in self.sequences if (kind in FROM_STUDENT) == of_student)

    @property
    def sequences(self) -> tuple[str, ...]:
        """The kinds of sequence that the terms use, in the order of `SEQUENCES`."""
        return tuple(kind for kind in SEQUENCES if self.terms_on(kind))

    def terms_on(self, sequences: str) -> tuple[Term, ...]:
        """Return the terms on one kind of sequence."""
        return tuple(term for term in self.terms if term.sequences == sequences)

    def needs_teacher_on(self, sequences: str) -> bool:
        """Return whether a loss on one kind of sequence reads the teacher's distributions."""
        return any(LOSSES[term.loss].needs_teacher for term in self.terms_on(sequences))

    @property
    def needs_teacher(self) -> bool:
        """Whether training runs the teacher: to sample from it, or for a loss that reads its distributions.

        Those of `mle` and `seqkd` do not.
        """
        return self.runs_teacher_besides(())

    def runs_teacher_besides(self, cached: Collection[str]) -> bool:
        """Return whether training runs the teacher if its distributions on the kinds `cached` are stored."""
        others = (kind for kind in self.sequences if kind not in cached)
        return ONLINE_TEACHER_SAMPLES in self.sequences or any(map(self.needs_teacher_on, others))

    @property
    def mixtures(self) -> list[str]:
        """Return, for each term on the mixture m, whose weight is which: GKD's and TRL's beta is the teacher's."""
        return [
            f"{term.loss}: m = {1 - term.parameters['beta']:g} p (teacher) + {term.parameters['beta']:g} q (student)"
            for term in self.terms
            if "beta" in term.parameters
        ]

    @property
    def needs_hidden(self) -> bool:
        """Whether any loss reads hidden states."""
        return any(LOSSES[term.loss].needs_hidden for term in self.terms)

    @property
    def needs_attentions(self) -> bool:
        """Whether any loss reads attention weights, which memory-efficient attention does not compute."""
        return any(LOSSES[term.loss].needs_attentions for term in self.terms)
