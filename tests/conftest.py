"""Strictness for every test: no implicit promotion, no rank promotion; warnings are errors."""

import jax
import pytest

pytest_plugins = ["tests.conformance"]

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Run a test in double precision."""
    with jax.enable_x64(True):
        yield
