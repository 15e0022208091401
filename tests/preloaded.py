# ruff: noqa: F401
"""Imports of the server of `warm`, before it forks: the library, Snakemake, and what both would import on first use."""

import gc

import bert_score
import fdistill.bench.study
import fdistill.data.preparation
import fdistill.evaluation.figures
import fdistill.evaluation.metrics
import fdistill.evaluation.risks
import fdistill.evaluation.tables
import fdistill.training.experiment
import matplotlib.backends.backend_svg
import rapidfuzz.distance
import rouge_score.rouge_scorer
import sacrebleu
import snakemake.api
import snakemake.cli
import snakemake.report
import snakemake.workflow
import torch._dynamo
import torch.distributed.fsdp
import transformers.generation.utils
import transformers.models.bart.modeling_bart
import transformers.models.gpt2.modeling_gpt2
import transformers.models.t5.modeling_t5

gc.freeze()  # the garbage collector of a forked process skips these objects, so that their memory stays shared
