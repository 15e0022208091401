"""Checks of how a task samples and decodes, and with which engine: each message has file, key, value and remedy."""

import pytest
from small_config import METHODS, TABLE, TASK, WEB, put

NUCLEUS = {"mode": "nucleus", "top_p": 0.9}
CTRANSLATE2 = {"engine": "ctranslate2"}
DIVERSE = {"mode": "diverse_beam", "num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5, "per_input": 4}
BEAM = {"mode": "beam", "num_beams": 4, "early_stopping": True}


@pytest.mark.parametrize(
    ("task", "key", "value", "text"),
    [
        (
            WEB,
            "decoding.min_new_tokens",
            17,
            "decoding.min_new_tokens: 17 is more than max_new_tokens, 16; lower it",
        ),
        (WEB, "decoding.top_p", 0.9, "decoding.top_p: 0.9 is not used without do_sample: true; remove it"),
        (
            WEB,
            "teacher_samples",
            {"mode": "nucleus"},
            "teacher_samples.top_p: missing; mode 'nucleus' needs it: set a number "
            "> 0 and <= 1 (Probability mass of the most likely tokens that are sampled from",
        ),
        (
            WEB,
            "teacher_samples",
            {"mode": "top_k"},
            "teacher_samples.top_k: missing; mode 'top_k' needs it: set an integer",
        ),
        (
            WEB,
            "teacher_beam",
            {"mode": "beam"},
            "teacher_beam.num_beams: missing; mode 'beam' needs it: set an integer",
        ),
        (
            WEB,
            "teacher_samples",
            {"mode": "beam_sample"},
            "teacher_samples.num_beams: missing; mode 'beam_sample' needs it",
        ),
        (
            WEB,
            "teacher_samples",
            {"top_p": 0.9},
            "teacher_samples.top_p: 0.9 is not used with mode 'ancestral', only with "
            "nucleus, beam_sample; remove it or change mode",
        ),
        (
            WEB,
            "teacher_samples",
            {"temperature": 0.9},
            "teacher_samples.temperature: 0.9 is not used with mode 'ancestral', only with top_k, nucleus, beam_sample",
        ),
        (
            WEB,
            "teacher_samples",
            NUCLEUS | {"temperature": 0},
            "teacher_samples.temperature: 0 is not allowed; must be a number from 0.01 to 100, or null",
        ),
        (
            WEB,
            "teacher_beam",
            {"mode": "beam", "num_beams": 4, "per_input": 5},
            "teacher_beam.per_input: 5 is more than num_beams, 4: one search has no more; raise num_beams",
        ),
        (
            WEB,
            "teacher_samples",
            DIVERSE | {"num_beam_groups": 3},
            "teacher_samples.num_beam_groups: 3 groups cannot share 4 beams (num_beams) evenly; set a divisor of it",
        ),
        (
            WEB,
            "teacher_samples",
            DIVERSE | {"per_input": 1},
            "teacher_samples.mode: the groups differ from the first one, whose best sequence is the only one asked "
            "for; use mode beam, or sample several sequences offline (per_input)",
        ),
        (
            WEB,
            "teacher_samples",
            {key: value for key, value in DIVERSE.items() if key != "diversity_penalty"},
            "teacher_samples.diversity_penalty: missing; mode 'diverse_beam' needs it",
        ),
        (
            WEB,
            "teacher_samples",
            DIVERSE | CTRANSLATE2,
            "teacher_samples.mode: only engine transformers samples by diverse_beam; use it, or a mode of ancestral, ",
        ),
        (
            WEB,
            "teacher_samples",
            {"min_new_tokens": 3},
            "teacher_samples.min_new_tokens: 3 is not used with mode 'ancestral'",
        ),
        *(
            (
                WEB,
                name,
                {"mode": "nucleus", "top_p": 0.9, "min_new_tokens": 9, "max_new_tokens": 8},
                f"{name}.min_new_tokens: 9 is more than max_new_tokens, 8; lower it",
            )
            for name in ("teacher_samples", "teacher_beam", "other_teacher_beam")
        ),
        (
            WEB,
            "teacher_beam",
            {"mode": "beam", "num_beams": 2, "min_new_tokens": 17},
            "teacher_beam.min_new_tokens: teacher_beam asks for sequences of 17 tokens (min_new_tokens), "
            "more than text.max_target_tokens, 16; lower min_new_tokens or raise text.max_target_tokens",
        ),
        (
            WEB,
            "teacher_samples",
            DIVERSE | {"diversity_penalty": 0},
            "teacher_samples.diversity_penalty: 0 is not allowed; must be a number > 0 and <= 1000 (Nats",
        ),
        (
            WEB,
            "teacher_beam",
            {"mode": "beam", "num_beams": 0},
            "teacher_beam.num_beams: 0 is not allowed; must be an integer from 1 to 1000 (Number of beams",
        ),
        *(
            (
                put(WEB, "model.teacher.vocab_size", 300),
                key,
                value,
                f"{mistake}: 301 is more than the 300 tokens of the vocabulary (model.teacher.vocab_size); lower it",
            )
            for key, value, mistake in [
                ("teacher_beam", {"mode": "beam", "num_beams": 301}, "teacher_beam.num_beams"),
                ("teacher_samples", DIVERSE | {"num_beams": 301, "num_beam_groups": 7}, "teacher_samples.num_beams"),
                ("decoding", {"max_new_tokens": 16, "num_beams": 301}, "decoding.num_beams"),
                ("selection", {"num_beams": 301}, "selection.num_beams"),
                ("selection", {"agreement_top_k": 301}, "selection.agreement_top_k"),
                ("selection_overrides", {"distill": {"num_beams": 301}}, "selection_overrides.distill.num_beams"),
            ]
        ),
        (
            WEB,
            "selection_overrides",
            {"teacher": {"agreement_top_k": 3}},
            "selection_overrides.teacher.agreement_top_k: not used: a teacher has no other one to agree with; remove",
        ),
        (
            WEB,
            "teacher_beam",
            {"mode": "beam", "num_beams": 2, "max_new_tokens": 17},
            "teacher_beam.max_new_tokens: teacher_beam asks for sequences of 17 tokens (max_new_tokens), "
            "more than text.max_target_tokens, 16; lower max_new_tokens or raise text.max_target_tokens",
        ),
        (
            WEB,
            "teacher_samples",
            {"top_k": 3},
            "teacher_samples.top_k: 3 is not used with mode 'ancestral'",
        ),
        (
            WEB,
            "teacher_samples",
            NUCLEUS | {"length_penalty": 1.0},
            "teacher_samples.length_penalty: 1.0 is not used with ",
        ),
        (
            WEB,
            "teacher_samples",
            {"mode": "beam_sample", "num_beams": 4, "temperature": 0.9} | CTRANSLATE2,
            "teacher_samples.mode: only engine transformers samples by beam_sample; use it, or a mode of ancestral, ",
        ),
        (
            WEB,
            "decoding",
            {"max_new_tokens": 16, "num_beams": 4} | CTRANSLATE2,
            "decoding.early_stopping: engine ctranslate2 ends a beam search as soon as there are as many finished",
        ),
        (
            WEB,
            "teacher_beam",
            BEAM | CTRANSLATE2 | {"no_repeat_ngram_size": 3},
            "teacher_beam.no_repeat_ngram_size: not supported by engine ctranslate2; remove it or use engine ",
        ),
        (
            put(WEB, "model.teacher.shard", True),
            "risk",
            CTRANSLATE2,
            "risk.engine: ctranslate2 cannot run a teacher that is sharded over GPUs (model.teacher.shard); "
            "use engine transformers",
        ),
        (
            put(
                WEB, "model", {"family": "gemma2", "teacher": {"init": "google/gemma-2-2b"}, "student": {"decoder": 1}}
            ),
            "risk",
            CTRANSLATE2,
            "risk.engine: a converted gemma2 model fails or computes something else with ctranslate2; use engine "
            "transformers",
        ),
    ],
)
def test_mistakes_of_sampling(project, task, key, value, text):
    project.refuses(put(task, key, value), text)


@pytest.mark.parametrize(
    ("task", "key", "value"),
    [
        (WEB, "teacher_samples", NUCLEUS),
        (WEB, "teacher_samples", {"mode": "beam_sample", "num_beams": 6, "top_k": 30, "length_penalty": 1.0}),
        (WEB, "decoding", {"max_new_tokens": 16, "do_sample": True, "top_p": 0.9}),
        (WEB, "decoding", {"max_new_tokens": 16, "num_beams": 4, "early_stopping": True} | CTRANSLATE2),
        (WEB, "teacher_samples", CTRANSLATE2),
        (WEB, "teacher_beam", BEAM | CTRANSLATE2),
        (WEB, "teacher_beam", BEAM | CTRANSLATE2 | {"per_input": 4}),
        (WEB, "teacher_samples", DIVERSE),
        (WEB, "teacher_samples", {"mode": "nucleus", "top_p": 1, "temperature": 0.7, "per_input": 4} | CTRANSLATE2),
    ],
)
def test_what_is_allowed_of_sampling(project, task, key, value):
    project.write(TASK, put(task, key, value))
    project.load()


LONG = {"mode": "nucleus", "top_p": 0.9, "min_new_tokens": 9}


@pytest.mark.parametrize(
    ("sampling", "file", "text"),
    [
        (LONG | {"max_new_tokens": 8}, METHODS, "own.student_samples.min_new_tokens: 9 is more than max_new_tokens, 8"),
        (
            LONG | {"min_new_tokens": 17},
            TASK,
            "text.max_target_tokens: method 'own' asks for sequences of 17 tokens (min_new_tokens), more than",
        ),
        (
            {"mode": "beam", "num_beams": 301},
            TASK,
            "model.teacher.vocab_size: 300 tokens, but method 'own' searches with 301 beams (its student_samples.num_b",
        ),
    ],
)
def test_mistakes_of_a_methods_own_sampling(project, sampling, file, text):
    own = TABLE["kl"] | {"terms": [{"sequences": "student_samples", "loss": "kl"}], "student_samples": sampling}
    project.write(METHODS, TABLE | {"own": own})
    project.write(TASK, put(WEB, "model.teacher.vocab_size", 300))
    (line,) = project.mistakes(methods=["own"])
    assert line.startswith(f"{file}: {text}")
