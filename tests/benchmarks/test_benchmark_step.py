"""The claims about time: a step beside Optax's. Bounds leave room for a noisy machine."""

import pytest

from adaptax.lab import bench


@pytest.fixture(scope="module")
def found():
    import jax

    with jax.numpy_dtype_promotion("standard"):
        measured = bench.measure(bench.Settings(), say=print)
    print("\n" + measured.table())
    return measured


def ours(found, method):
    rows = [r for r in found.rows if r.method == method and r.contender == "adaptax"]
    assert len(rows) == 3
    return rows


def test_clipped_adamw_is_faster_than_optax(found):
    for row in ours(found, "clip+adamw"):
        assert row.step_ratio.median < 0.8, row


def test_adamw_is_as_fast_as_optax(found):
    for row in ours(found, "adamw"):
        assert row.step_ratio.median < 1.1, row


def test_clipped_adamw_compiles_faster_over_distinct_leaves(found):
    row = ours(found, "clip+adamw")[-1]
    assert "distinct" in row.workload and row.compile_ratio.median < 0.85, row


def test_no_step_allocates_temporaries_of_the_parameters_size(found):
    for method in ("adamw", "clip+adamw"):
        for row in ours(found, method):
            assert row.temporary is None or row.temporary < 0.02, row
