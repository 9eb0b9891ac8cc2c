"""A whole comparison through the Python API."""

import dataclasses
import io
import json
import resource
import shutil

import jax
import numpy as np
import optax
import pytest
from experiments import TINY, Log, interrupt, without_times

import adaptax
from adaptax import lab
from adaptax.lab import experiment, runner


@pytest.fixture(scope="module")
def found():
    return lab.compare(TINY, ["sgd", "adam"], seeds=2)


def test_every_optimizer_runs_with_every_seed(found):
    assert [(run.optimizer, run.seed) for run in found.runs] == [
        ("sgd", 0), ("sgd", 1), ("adam", 0), ("adam", 1),
    ]  # fmt: skip
    for run in found.runs:
        assert run.steps == (0, 5, 10) and len(run.losses) == 10 and len(run.metric) == 3
        assert run.seconds > 0 and run.diverged_at is None
    assert not found.interrupted and found.task.train_examples == 80


def test_optimizers_start_equal_and_then_differ(found):
    sgd, adam = found.of("sgd")[0], found.of("adam")[0]
    assert sgd.losses[0] == adam.losses[0] and sgd.metric[0] == adam.metric[0]
    assert sgd.losses[1] != adam.losses[1]
    assert sgd.losses != found.of("sgd")[1].losses


def test_what_is_noted_of_an_optimizer(found):
    sgd, adam = found.optimizers
    assert sgd.parameters == adam.parameters == 4 * 8 + 8 + 8 * 2 + 2
    assert 8 * adam.parameters <= adam.state_bytes <= 8 * adam.parameters + 32
    assert sgd.state_bytes < 32 and adam.compile_seconds > 0
    assert adam.call == repr(adaptax.adam(0.01)) and adam.rate == "0.01"
    assert found.versions["adaptax"] == adaptax.__version__
    assert found.versions["jax"] == jax.__version__ and found.device["platform"] == "cpu"
    assert found.of("adam")[0].rates == (0.01, 0.01, 0.01)


def test_a_schedule_is_followed_and_noted():
    run = lab.compare(TINY, "adam", learning_rate="linear(0.1, 0.0, 10)", seeds=1).runs[0]
    assert run.rates[0] == pytest.approx(0.1) and run.rates[-1] == pytest.approx(0.01)


def test_the_same_call_gives_bitwise_the_same_curves_shown_or_not(found):
    shown = io.StringIO()
    again = lab.compare(TINY, ["sgd", "adam"], seeds=2, progress=lab.Lines(shown, every=0.0))
    assert without_times(again) == without_times(found)
    assert "step 5/10" in shown.getvalue() and "[4/4] adam seed 1" in shown.getvalue()


def test_training_learns():
    run = lab.compare(TINY, "adam", epochs=30, learning_rate=0.05, seeds=1).runs[0]
    assert run.metric[-1] >= 0.85 and np.mean(run.losses[-5:]) < 0.5 * run.losses[0]


def test_plain_optax_runs_and_its_rate_is_unknown():
    found = lab.compare(TINY, {"theirs": optax.sgd(0.1), "ours": "sgd(0.1)"}, seeds=1)
    theirs, ours = found.runs
    assert theirs.rates == (None, None, None) and ours.rates == (0.1, 0.1, 0.1)
    np.testing.assert_allclose(theirs.losses, ours.losses, rtol=1e-6)


def test_a_transformation_that_wants_the_loss_gets_it():
    seen = optax.GradientTransformationExtraArgs(
        lambda params: optax.EmptyState(),
        lambda updates, state, params=None, *, value, **extra: (
            jax.tree.map(lambda g: -0.1 * value * g, updates),
            state,
        ),
    )
    run = lab.compare(TINY, {"by loss": seen}, seeds=1).runs[0]
    assert run.losses[-1] < run.losses[0]


def test_a_diverging_run_ends_there_and_the_others_go_on():
    found = lab.compare(TINY, {"wild": "sgd(1e30)", "calm": "sgd"}, seeds=2)
    wild, calm = found.of("wild"), found.of("calm")
    assert len(wild) == len(calm) == 2
    for run in wild:
        assert run.diverged_at is not None and 2 <= run.diverged_at <= 10
        assert len(run.losses) == run.diverged_at and not np.isfinite(run.losses[-1])
        assert np.isfinite(run.losses[:-1]).all()
    assert all(run.diverged_at is None for run in calm)
    shown = found.table()
    assert f"diverged at step {min(r.diverged_at for r in wild)}" in shown
    assert "(2 of 2 runs)" in shown


def test_an_interruption_keeps_the_runs_that_finished(tmp_path, found):
    cut = lab.compare(
        TINY, ["sgd", "adam"], seeds=2, output=tmp_path / "o", progress=Log(3, interrupt)
    )
    assert cut.interrupted
    assert without_times(cut).runs == without_times(found).runs[:3]
    assert "interrupted: 3 of 4 runs finished" in cut.table()
    saved = json.loads((tmp_path / "o" / "results.json").read_text())
    assert saved["interrupted"] is True and len(saved["runs"]) == 3
    assert (tmp_path / "o" / "curves.png").stat().st_size > 10_000


def test_an_interruption_before_any_run_leaves_no_folder(tmp_path):
    cut = lab.compare(TINY, "sgd", output=tmp_path / "o", progress=Log(0, interrupt))
    assert cut.interrupted and cut.runs == () and not (tmp_path / "o").exists()
    assert "not run" in cut.table()


def test_progress_hears_everything_in_order():
    log = Log()
    lab.compare(TINY, "adam", seeds=[7], epochs=1, progress=log)
    assert [call[0] for call in log.calls] == [
        "begin", "optimizer", "run", "step", "evaluated", "finished",
    ]  # fmt: skip
    assert log.calls[0] == ("begin", ["adam"], 1, 5, "accuracy")
    assert log.calls[2] == ("run", "adam", 7)
    assert log.calls[3][1] == 5 and log.calls[3][3] == 0.01
    assert log.calls[5][1].startswith("accuracy ")


def test_the_scanned_loop_of_accelerators_makes_the_same_steps(monkeypatch, found):
    monkeypatch.setattr(runner.jax, "default_backend", lambda: "gpu")
    scanned = lab.compare(TINY, "adam", seeds=2)
    for one, other in zip(found.of("adam"), scanned.runs, strict=True):
        assert one.steps == other.steps
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)


def test_chunks_change_nothing(monkeypatch, found):
    monkeypatch.setattr(runner, "CHUNK", 2)
    again = without_times(lab.compare(TINY, "sgd", seeds=2))
    assert again.runs == without_times(found).of("sgd")


def test_testing_in_padded_parts_scores_every_example_once(monkeypatch, found):
    monkeypatch.setattr(runner, "EVALUATED", 7)
    parts = lab.compare(TINY, "sgd", seeds=2)
    assert [run.metric for run in parts.runs] == [run.metric for run in found.of("sgd")]


def test_augmentation_is_seen_in_training_only():
    blank = dataclasses.replace(TINY, augment=lambda key, inputs: 0.0 * inputs)
    blanked = lab.compare(blank, "sgd", seeds=1, epochs=1).runs[0]
    plain = lab.compare(TINY, "sgd", seeds=1, epochs=1).runs[0]
    assert blanked.metric[0] == plain.metric[0] and blanked.losses[0] != plain.losses[0]


def test_a_linear_regression_end_to_end():
    found = lab.compare("diabetes-linear", "sgd", seeds=1)
    assert found.task.metric == "R²" and "test R²: " in found.table()
    assert 0.3 < found.runs[0].metric[-1] < 0.7  # least squares reaches about 0.5


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"task": "digit-mlp"}, ValueError, "unknown task 'digit-mlp'; did you mean 'digits-mlp'"),
        ({"epochs": 0}, ValueError, "epochs=0: a whole number of at least 1"),
        ({"epochs": 1.5}, TypeError, "epochs=1.5: a whole number"),
        ({"epochs": True}, TypeError, "epochs=True"),
        ({"batch_size": -1}, ValueError, "batch_size=-1"),
        ({"batch_size": 81}, ValueError, "batch_size=81.*80 training examples"),
        ({"seeds": 0}, ValueError, "seeds=0: a count"),
        ({"seeds": []}, ValueError, "at least one"),
        ({"seeds": [1, 1]}, ValueError, "only once"),
        ({"seeds": [-1]}, ValueError, r"seeds=\[-1\]"),
        ({"seeds": [2**32]}, ValueError, "from 0 to 4,294,967,295"),
        ({"seeds": 1.5}, ValueError, "seeds=1.5"),
        ({"data_dir": "."}, ValueError, "brings its own data"),
        ({"task": "cifar10-lenet5"}, ValueError, "data_dir .--data-dir. is missing"),
        ({"task": "cifar10-lenet5", "data_dir": "/nowhere"}, OSError, "is no folder"),
    ],
)
def test_what_is_refused_before_training(wrong, kind, message):
    log = Log()
    with pytest.raises(kind, match=message):
        lab.compare(**{"task": TINY, "optimizers": "sgd", "progress": log, **wrong})
    assert log.calls == []


def test_a_full_batch_is_one_step_an_epoch():
    run = lab.compare(TINY, "sgd", batch_size=80, epochs=3, seeds=1).runs[0]
    assert run.steps == (0, 1, 2, 3)


def test_the_output_folder_is_refused_before_training(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    log = Log()
    with pytest.raises(FileExistsError, match=r"is not empty.*precious.txt.*--force"):
        lab.compare(TINY, "sgd", output=tmp_path, progress=log)
    assert log.calls == []


def test_force_replaces_results_and_leaves_other_files(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "results.json").write_text("old")
    found = lab.compare(TINY, "sgd", seeds=1, output=tmp_path, force=True)
    assert lab.Comparison.load(tmp_path) == found
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "curves.png", "precious.txt", "results.json",
    ]  # fmt: skip


def test_a_disk_that_fills_up_at_the_end_costs_one_warning(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = Log(0, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard)))
    try:
        with pytest.warns(UserWarning, match="results not written to .*File too large") as caught:
            found = lab.compare(TINY, "sgd", seeds=1, output=tmp_path / "o", progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(caught) == 1 and len(found.runs) == 1
    assert not (tmp_path / "o").exists(), "nothing half-written is left"


def test_a_folder_that_vanishes_costs_one_warning(tmp_path):
    vanish = Log(0, lambda: shutil.rmtree(tmp_path / "o"))
    with pytest.warns(UserWarning, match="results not written"):
        found = lab.compare(TINY, "sgd", seeds=1, output=tmp_path / "o", progress=vanish)
    assert len(found.runs) == 1


def test_an_error_in_training_is_not_swallowed_and_frees_the_folder(tmp_path):
    def update(updates, state, params=None):
        raise ZeroDivisionError("a bug")

    broken = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        lab.compare(TINY, {"broken": broken}, output=tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_missing_libraries_are_named_with_the_command_that_helps(monkeypatch):
    monkeypatch.setitem(experiment.extras.NEEDED, "no_such_module", "no-such-library")
    with pytest.raises(ImportError, match=r'needs no-such-library.*pip install "adaptax\[lab\]"'):
        lab.compare(TINY, "sgd")


def test_a_rate_set_by_value_is_the_one_used():
    found = lab.compare(TINY, [adaptax.sgd(0.5)], seeds=1, epochs=1)
    assert found.runs[0].rates == (0.5, 0.5) and found.optimizers[0].rate == "0.5"
