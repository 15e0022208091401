"""The tables that pass between the stages, as pyarrow schemas (used with `fdistill.artifacts.files.read_parquet`).

A stage that writes one of them and a stage that reads it both import the schema from here, so that a file
with other columns or types is refused when it is opened and not somewhere later.
"""

import pyarrow as pa

SPLIT = pa.schema(
    [
        ("id", pa.string()),  # unique within the task, in all splits
        ("group", pa.string()),  # what a split never cuts: a service, a package, a conversation
        ("source", pa.string()),  # the model's input, without special tokens
        ("references", pa.list_(pa.string())),  # at least one; their number may differ between inputs
    ]
)
"""One prepared split of a task: `results/{task}/prepare/{train,dev,test}.parquet`, one row per input."""

GENERATIONS = pa.schema(
    [
        ("id", pa.string()),  # the test split's ids, all of them, in its order
        ("hypothesis", pa.string()),  # decoded text without special tokens; may be empty
        ("n_tokens", pa.int32()),  # generated tokens, the end-of-sequence token included
        ("finished", pa.bool_()),  # whether the end-of-sequence token was reached within the length limit
    ]
)
"""One output per test input: `results/{task}/{method}/seed{n}/generate.parquet`."""

SAMPLES = pa.schema(
    [
        ("id", pa.string()),  # id of the input in its split
        ("sample", pa.int32()),  # 0-based index among the samples of one input
        ("tokens", pa.list_(pa.int32())),  # token ids up to and including the first end-of-sequence token
        ("log_prob", pa.float64()),  # nats, the whole sequence, under the model that drew it
        ("finished", pa.bool_()),  # whether the end-of-sequence token was reached within the length limit
    ]
)
"""Sequences drawn from a model, as token ids: decoding and encoding again would change the sequence."""
