"""Sharded parameters: the moments are placed as they are, and the steps are the same."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.conformance import compared, proves
from tests.interop.table import OPTIMIZERS


@pytest.fixture(scope="module", params=["Auto", "Explicit"])
def run(request):
    flags = "--xla_force_host_platform_device_count=8 --xla_cpu_multi_thread_eigen=false"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-m", "tests.interop.sharded", request.param]
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["devices"] == 8
    return found


@proves("P55")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_moments_inherit_the_sharding(run, name):
    compared(1 + run["kept"][name]["arrays"])
    kept = {"sgd": 0, "adagrad": 2, "rmsprop": 2, "amsgrad": 6}
    assert run["kept"][name]["arrays"] == kept.get(name, 4)
    assert run["kept"][name]["wrong"] == []


@proves("P55", row="sharding")
def test_sharded_steps_are_the_unsharded_ones(run):
    assert sorted(run["apart"]) == ["adadelta", "adamw", "rmsprop"]
    compared(len(run["apart"]))
    assert max(run["apart"].values()) <= 1e-6
