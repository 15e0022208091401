"""How many inputs a batch of offline work has."""

import pytest
import tiny
from fdistill.models import memory
from fdistill.models.students import init_student
from fdistill.sampling.batch_sizes import (
    DEFAULT_GPU_MEMORY,
    FREE_SHARE,
    MAX_ROWS,
    free_on_gpu,
    offline_batch_size,
    rows_that_fit,
)


def models():
    """A teacher and its student."""
    teacher = tiny.checkpoint("bart", vocab_size=3000, d_model=128, encoder_layers=4, decoder_layers=4)
    return teacher.model, init_student(teacher, {"encoder": 2, "decoder": 2}).model


def test_rows_that_fit_fill_the_memory_and_no_more():
    model, _ = models()
    size = memory.size_of(model.module, model.family)
    free, beams, target = 8e6, 2, 32
    rows = rows_that_fit(size, free, beams, target)

    def needed(count, source):
        return max(memory.decoding(size, count, beams, source, target), memory.scoring(size, count, source, target))

    for source in (16, 64, 256):
        assert needed(rows(source), source) <= free < needed(rows(source) + 1, source)
    assert rows(256) < rows(64) < rows(16)
    assert rows_that_fit(size, 1.0, beams, target)(16) == 1
    assert rows_that_fit(size, 1e12, beams, target)(16) * beams == MAX_ROWS


def test_batches_follow_from_the_study_and_the_shapes_alone():
    teacher, student = models()
    assert offline_batch_size(7, [teacher], "transformers", 1, 32, 40) == 7
    on_cpu = [offline_batch_size(None, [student, teacher], "transformers", 4, 32, gib)(400) for gib in (None, 1, 80)]
    assert len(set(on_cpu)) == 1 and 1 < on_cpu[0] <= MAX_ROWS // 4
    weights = 1e9
    assert free_on_gpu(None, weights) == free_on_gpu(DEFAULT_GPU_MEMORY, weights)
    assert free_on_gpu(40, weights) > free_on_gpu(16, weights) > free_on_gpu(16, 2 * weights)
    whole = free_on_gpu(16, weights) / FREE_SHARE + weights
    assert memory.in_bytes(whole) == pytest.approx(16 * memory.GIB)
