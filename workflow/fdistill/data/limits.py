"""How texts become token ids: a task's section `text`."""

from dataclasses import dataclass

BOUNDARY = "\n"  # between a source and its continuation, where nothing else separates them


@dataclass(frozen=True)
class Limits:
    """How many tokens a text may have, special ones included; a longer text is an "error", or cut with "truncate".

    The rest is what stands around a source (see `data.prompts`), with the keys of section `text`.
    """

    max_source_tokens: int
    max_target_tokens: int
    too_long: str = "error"
    source_prefix: str = ""  # for example T5's "translate English to Romanian: "
    source_suffix: str | None = None  # None: see `suffix`
    chat_template: bool = False
    system_message: str | None = None  # None: the template's own, if it has one
    one_line_targets: bool = False
    turn_separator: str | None = None  # text in a source that separates the turns of a dialogue
    symbols: bool = False  # whether every word of a text is a symbol, which must be one token

    def suffix(self, continues: bool) -> str:
        """Return the text after every source; `continues` says that the model continues its source (decoder-only).

        Without one, such a model could not see where the source ends and the target begins. A chat template and the
        separator behind the last turn of a dialogue show it already.
        """
        if self.source_suffix is not None:
            return self.source_suffix
        return BOUNDARY if continues and not self.chat_template and self.turn_separator is None else ""
