"""Checks of a task's source, metrics and selection: each message has file, key, value and remedy."""

import pytest
from small_config import TASK, WEB, put


@pytest.mark.parametrize(
    ("task", "key", "value", "text"),
    [
        (WEB, "metrics", ["bleu4", "blue2"], "metrics[1]: unknown metric 'blue2'; did you mean 'bleu2'?"),
        (
            WEB,
            "selection.metric",
            "rogue1",
            "selection.metric: unknown metric 'rogue1'; did you mean 'rouge1'?",
        ),
        (WEB, "metric_options", {"blue2": {}}, "metric_options.blue2: unknown metric; did you mean 'bleu2'?"),
        (
            WEB,
            "metric_options",
            {"bleu4": {"lowercas": 1}},
            "metric_options.bleu4.lowercas: unknown option; did you mean 'lowercase'?",
        ),
        (
            WEB,
            "metric_options",
            {"ter": {"x": 1}},
            "metric_options.ter.x: unknown option; known: lowercase, tokenizer, ",
        ),
        (
            WEB,
            "metric_options",
            {"ter": {"tokenizer": "foo"}},
            'metric_options.ter.tokenizer: "foo" is not allowed; must be one of none, words, treebank',
        ),
        (
            WEB,
            "metric_options",
            {"bleu4": {"max_references": 0}},
            "metric_options.bleu4.max_references: 0 is not allowed; must be an integer >= 1",
        ),
        (
            WEB,
            "metrics",
            ["ter", "bertscore"],
            "metric_options.bertscore.model: missing; metric 'bertscore' cannot be computed without it; "
            "set it (see fdistill/evaluation/metrics/bertscore.py) or remove the metric",
        ),
        (
            WEB,
            "selection.metric",
            "bertscore",
            "metric_options.bertscore.model: missing; metric 'bertscore' ",
        ),
        (
            WEB | {"metric_options": {"bertscore": {"model": None, "num_layers": 6}}},
            "metrics",
            ["bertscore"],
            "metric_options.bertscore.model: missing; ",
        ),
        (
            WEB,
            "source.kind",
            "chitchatt",
            "source.kind: unknown source 'chitchatt'; did you mean 'chitchat'?",
        ),
        (WEB, "source.train_sise", 3, "source.train_sise: unknown key; did you mean 'train_size'?"),
        (
            WEB,
            "source.train_size",
            "all",
            "source.train_size: \"all\" is not allowed; must be an integer, or null (An option of source 'botocore'.)",
        ),
        (WEB, "source.kinds", ["fields"], "source.kinds: unknown value 'fields'; known: field, operation"),
        (
            WEB,
            "selection_overrides",
            {"predistil": {"num_beams": 2}},
            "selection_overrides.predistil: unknown stage; did you mean 'predistill'?",
        ),
        (
            WEB,
            "selection_overrides",
            {"predistill": {"beams": 2}},
            "selection_overrides.predistill.beams: unknown key; did you mean 'num_beams'?",
        ),
        (
            WEB,
            "selection_overrides",
            {"distill": {"num_beams": 0}},
            "selection_overrides.distill.num_beams: 0 is not allowed; must be an integer from 1 to 1000",
        ),
        (
            WEB,
            "selection_overrides",
            {"distill": {"metric": "rogue1"}},
            "selection_overrides.distill.metric: unknown metric 'rogue1'; did you mean 'rouge1'?",
        ),
        (
            WEB,
            "selection_overrides",
            {"distill": {"metric": "bertscore"}},
            "metric_options.bertscore.model: missing; metric 'bertscore' cannot be computed without it",
        ),
    ],
)
def test_mistakes_of_source_metrics_and_selection(project, task, key, value, text):
    project.refuses(put(task, key, value), text)


@pytest.mark.parametrize(
    ("task", "key", "value"),
    [
        (WEB, "selection.metric", "rougeL"),
        (WEB, "metric_options", {"bleu4": {"lowercase": True}}),
        (WEB | {"metric_options": {"bertscore": {"model": "org/bert"}}}, "metrics", ["bertscore"]),
        (WEB, "metric_options", {"bertscore": {"num_layers": 6}}),  # not among the metrics
        (
            WEB,
            "source",
            {"kind": "botocore", "train_size": None, "kinds": ["field"], "target_words": [4, 12]},
        ),
    ],
)
def test_what_is_allowed_of_source_metrics_and_selection(project, task, key, value):
    project.write(TASK, put(task, key, value))
    project.load()
