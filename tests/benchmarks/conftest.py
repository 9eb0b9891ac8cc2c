"""Benchmarks take minutes and want the machine for themselves, so they run only when asked for:

    pytest tests/benchmarks --benchmark -m slow -n 0 -s

or with ADAPTAX_BENCHMARK=1 in the environment instead of the option.
"""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--benchmark", action="store_true", help="run the benchmarks")


def pytest_collection_modifyitems(config, items):
    asked = config.getoption("--benchmark", default=False)
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if not asked and os.environ.get("ADAPTAX_BENCHMARK", "0") in ("", "0"):
                item.add_marker(pytest.mark.skip(reason="asked for with --benchmark"))


@pytest.fixture(autouse=True)
def as_users_run_it():
    """Optax's bias correction needs implicit promotion."""
    import jax

    with jax.numpy_dtype_promotion("standard"):
        yield
