"""The Parquet tables that stages pass to each other, as pyarrow schemas for `fdistill.artifacts.files.read_parquet`.

The stage that writes a table and the stages that read it import the same schema, so that a file with other columns or
types is refused when it is opened.
"""

import pyarrow as pa

SPLIT = pa.schema(
    [
        ("id", pa.string()),  # unique within the task, in all splits
        ("group", pa.string()),  # examples of one group (a service, a package, a conversation) lie in one split
        ("source", pa.string()),  # the model's input, without special tokens
        # At least one, except of unlabelled inputs, which have none; the number may differ between inputs.
        ("references", pa.list_(pa.string())),
    ]
)
"""One prepared split of a task: `results/{task}/prepare/{train,dev,test,unlabelled}.parquet`, one row per input."""

GENERATIONS = pa.schema(
    [
        ("id", pa.string()),  # every id of the test split, in its order
        ("hypothesis", pa.string()),  # decoded text without special tokens; may be empty
        ("n_tokens", pa.int32()),  # generated tokens, EOS included
        ("finished", pa.bool_()),  # whether EOS was reached within the length limit
    ]
)
"""One output per test input: `results/{task}/{method}/seed{n}/generate.parquet`."""

REPLICATES = pa.schema(
    [
        ("metric", pa.string()),  # a key of the JSON file beside this one; a row for each seed, in the file's order
        ("values", pa.list_(pa.float64())),  # replicate b of all systems is over the same sample of inputs
    ]
)
"""Bootstrap replicates of the values in a `score.json` or `risk.json`: `score.replicates.parquet` beside it."""

LABELS = pa.schema(
    [
        ("id", pa.string()),  # id of the input in its split
        ("sample", pa.int32()),  # 0-based index among the labels of one input
        ("text", pa.string()),  # without special tokens
        ("log_prob", pa.float64()),  # under the model that made it, in nats; null if it is not known
    ]
)
"""Another teacher's labels of the training split as text: `results/{task}/label/train.parquet`."""

SAMPLES = pa.schema(
    [
        ("id", pa.string()),  # id of the input in its split
        ("sample", pa.int32()),  # 0-based index among the samples of one input
        ("tokens", pa.list_(pa.int32())),  # token ids up to and including the first EOS
        # Of the whole sequence under the model that it was sampled from, in nats; of labels that come through text, of
        # that model's own tokens, or null.
        ("log_prob", pa.float64()),
        ("finished", pa.bool_()),  # whether EOS was reached within the length limit
    ]
)
"""Sequences sampled from a model, as token ids: decoding and encoding again would change them."""
