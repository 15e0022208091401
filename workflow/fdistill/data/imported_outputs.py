"""The outputs of a teacher from outside for a split, encoded, by input: what rule import_outputs makes of a file."""

import logging
from dataclasses import dataclass
from itertools import chain

from fdistill.data.lines import tidy_lines
from fdistill.data.output_tokens import EncodedOutput, Encoder
from fdistill.data.outputs import Inputs, outputs_file, read_outputs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportedOutputs:
    """The outputs of each input of a split, in its order."""

    of_input: dict[str, list[EncodedOutput]]  # by id
    first_texts: list[str]  # each input's first output, as it is in the file

    @property
    def sequences(self) -> list[EncodedOutput]:
        """All outputs, input by input."""
        return list(chain.from_iterable(self.of_input.values()))

    def sample_columns(self) -> dict[str, list]:
        """Return the columns of stored teacher sequences."""
        return {
            "id": [example for example, rows in self.of_input.items() for _ in rows],
            "sample": [number for rows in self.of_input.values() for number in range(len(rows))],
            "tokens": [sequence.tokens for sequence in self.sequences],
            "log_prob": [sequence.log_prob for sequence in self.sequences],
            "finished": [sequence.finished for sequence in self.sequences],
        }

    def generation_columns(self) -> dict[str, list]:
        """Return the columns of generated texts: each input's first output."""
        first = [rows[0] for rows in self.of_input.values()]
        return {
            "id": list(self.of_input),
            "hypothesis": list(map(tidy_lines, self.first_texts)),
            "n_tokens": [len(sequence.tokens) for sequence in first],
            "finished": [sequence.finished for sequence in first],
        }


def import_outputs(name: str, inputs: Inputs, encoder: Encoder, with_log_probs: bool) -> ImportedOutputs:
    """Return the outputs in the file `name` for the wanted inputs, `with_log_probs` with what it says of distributions.

    Raises UserError, with the row, for one that cannot be used (see `read_outputs`, `Inputs.of` and `Encoder.encode`),
    for inputs without an output, and for log-probabilities of another tokenizer.
    """
    texts: dict[str, str] = {}
    found: dict[str, list[EncodedOutput]] = {}
    for output in read_outputs(name, with_log_probs):
        if not (examples := inputs.of(output)):
            continue
        encoded = encoder.encode(output)
        for example in examples:
            texts.setdefault(example, output.texts[0])
            found.setdefault(example, []).extend(encoded)
    file = outputs_file(name)
    inputs.check_complete(file, found)
    encoder.check_tokenizer()
    imported = ImportedOutputs(
        {example: found[example] for example in inputs.wanted}, [texts[example] for example in inputs.wanted]
    )
    counts = len(imported.sequences), len(imported.of_input), encoder.cut
    log.info("%s: %d outputs for %d inputs, %d of them cut to max_target_tokens", file, *counts)
    if encoder.compared:
        text = "%s: %d outputs with log-probabilities, %d of them split otherwise than by the student's tokenizer"
        log.info(text, file, encoder.compared, encoder.otherwise)
    return imported
