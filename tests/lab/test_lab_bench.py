"""The measurement itself: its shapes, its rounds, its report. No time is judged here."""

import importlib.util
import json

import jax
import numpy as np
import optax
import pytest

import adaptax
from adaptax.lab import bench, bench_results, bench_torch, cost


@pytest.fixture(autouse=True)
def as_users_run_it():
    """Optax's bias correction needs implicit promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize(("size", "leaves"), [(20_000_000, 200), (20_000, 4), (1000, 1)])
def test_workloads_have_the_shapes_they_are_named_for(size, leaves):
    one, equal, distinct = bench.workloads(bench.Settings(size=size, leaves=leaves)).values()
    assert one == [(size,)]
    assert len(equal) == len(distinct) == leaves
    assert len(set(equal)) == 1 and len(set(distinct)) == leaves
    for shapes in (equal, distinct):
        assert cost.parameters(cost.tree(shapes)) == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"size": 3, "leaves": 4}, "size=3 must be a whole number from 4 to"),
        ({"leaves": 0}, "leaves=0 must be a whole number from 1 to"),
        ({"rounds": 0}, "rounds=0 must"),
        ({"compiles": 0}, "compiles=0 must"),
        ({"rounds": 1.5}, "rounds=1.5 must"),
    ],
)
def test_settings_refuse_what_cannot_be_measured(given, named):
    with pytest.raises(ValueError, match=named):
        bench.Settings(**given)


class Clockwork:
    """Advances a false clock by a fixed time a run, and notes who ran."""

    def __init__(self, name, seconds, clock, log):
        self.name, self.seconds, self.clock, self.log = name, seconds, clock, log

    def run(self, times):
        self.clock[0] += times * self.seconds
        self.log.append(self.name)


def test_rounds_turn_and_times_are_per_run(monkeypatch):
    clock, log = [0.0], []
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    named = {"a": 0.5, "b": 0.003, "c": 0.02}
    contenders = {n: Clockwork(n, s, clock, log) for n, s in named.items()}
    taken = bench.interleaved(contenders, rounds=4)
    for name, seconds in named.items():
        np.testing.assert_allclose(taken[name], [seconds] * 4)
    assert "".join(log[6:]) == "abcbcacababc"  # after two runs of each to warm up


def test_a_jax_contender_takes_the_steps_it_is_asked_for():
    values = {"w": np.ones((2, 3), np.float32)}
    subject = cost.Subject("adaptax", adaptax.adamw(1e-3))
    compiled = subject.lower(cost.tree([(2, 3)])).compile()
    # the names of a tree made of shapes are the contender's, so its executable fits
    step = bench.JaxStep(subject, compiled, {"w0": values["w"]})
    step.run(3)
    assert int(step._state.rule.count) == 3
    assert (values["w"] == 1).all()


def test_both_libraries_take_the_same_steps():
    values = {"w0": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)}
    for method in bench.METHODS:
        after = []
        for library in (adaptax, optax):
            subject = cost.Subject("", method.make(library))
            step = bench.JaxStep(subject, jax.jit(subject.step, donate_argnums=(0, 2)), values)
            step.run(5)
            after.append(step._params["w0"])
        np.testing.assert_allclose(*after, atol=1e-6)
        assert np.abs(after[0] - values["w0"]).max() > 1e-3


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch not installed")
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="compares on the CPU")
def test_pytorch_takes_the_same_steps():
    values = {"w0": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)}
    subject = cost.Subject("", adaptax.adamw(1e-3))
    ours = bench.JaxStep(subject, jax.jit(subject.step), values)
    ours.run(5)
    found, notes = bench_torch.contenders(None, values)
    assert set(found) == {"torch foreach", "torch fused"} and notes == []
    for theirs in found.values():
        theirs.run(5)
        np.testing.assert_allclose(theirs._params[0].detach(), ours._params["w0"], atol=1e-6)


def test_compile_times_leave_the_cache_setting_alone():
    before = jax.config.jax_enable_compilation_cache
    subject = cost.Subject("sgd", adaptax.sgd(0.1))
    built = bench.compile_times([subject], cost.tree([(3,), (4,)]), 2)["sgd"]
    assert jax.config.jax_enable_compilation_cache == before
    assert built.compile.shape == built.lower.shape == (2,)
    assert (built.compile > 0).all() and (built.lower > 0).all()
    assert built.equations == 2


def made(**columns) -> bench_results.Bench:
    one = bench_results.Spread(0.5, 0.25, 1.0)
    given = {"temporary": 0.25, "compile_ratio": one, **columns}
    row = bench_results.Row("adamw", "one array", "adaptax", 1000, one, one, one, 2e9, **given)
    return bench_results.Bench(
        rows=(row,),
        bandwidth={"adamw on one array": 1e10},
        import_seconds=one,
        settings={"rounds": 7, "compiles": 2},
        machine={"device": "cpu"},
        notes=("PyTorch is not installed",),
    )


def test_a_report_as_json_is_whole():
    found = json.loads(made().to_json())
    assert found["format"] == "adaptax.bench/1"
    assert found["rows"][0]["step_seconds"] == {"median": 0.5, "low": 0.25, "high": 1.0}
    assert found["rows"][0]["compile_seconds"] is None


def test_a_report_as_markdown_has_as_many_cells_in_every_row():
    lines = [line for line in made().markdown().splitlines() if line.startswith("|")]
    assert len(lines) == 3 and len({line.count("|") for line in lines}) == 1
    assert "| adamw | one array | adaptax | 500 | 250 to 1e+03 | 0.50 | 2.0 |" in lines[2]


@pytest.mark.parametrize("rich", [True, False])
def test_a_table_holds_the_numbers_and_the_notes(rich, monkeypatch):
    if not rich:
        monkeypatch.setattr(bench_results.importlib.util, "find_spec", lambda name: None)
    lines = made().table().splitlines()
    assert "adamw on one array (triad 10.0 GB/s)" in lines
    (row,) = [line.split() for line in lines if line.strip().startswith("adaptax")]
    assert row == ["adaptax", "500", "250", "to", "1e+03", "0.50", "2.0", "0.50", "0.50", "0.25"]
    assert "PyTorch is not installed" in lines
