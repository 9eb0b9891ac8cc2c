"""Search with Optuna: what a trial computes, pruning, going on, and refusals."""

import dataclasses
import json
import math
import sys
import warnings

import jax
import numpy as np
import optuna
import pytest
from experiments import TINY, interrupt

import adaptax
from adaptax import lab
from adaptax.lab import data, runner, tune_picture
from adaptax.lab import study as studies
from adaptax.lab.candidates import candidates
from adaptax.lab.tuning import prepare, run
from adaptax.lab.validation import validation_split

SMALL = dataclasses.replace(lab.task("diabetes-linear"), epochs=2)
SPACE = ["weight_decay=log:1e-4..1e-1", "b1=0.8,0.9"]


def search(trials=4, **changes):
    given = {"seeds": 1, "space": SPACE, **changes}
    return lab.tune(given.pop("task", SMALL), given.pop("optimizer", "adamw"), trials, **given)


def made(found):
    """What trials were made and how they ended, without the clock and the numbering."""
    return [(t.values, t.state, t.loss, t.curve, t.steps) for t in found.trials]


class At(lab.Progress):
    """Acts when the n-th run starts; notes how trials ended."""

    def __init__(self, at=None, act=interrupt):
        self.at, self.act, self.runs, self.ends = at, act, 0, []

    def step(self, step, loss, rate):
        if self.runs - 1 == self.at:
            self.act()

    def run(self, label, seed):
        self.runs += 1

    def finished(self, summary):
        self.ends.append(summary)


@pytest.fixture(scope="module")
def whole():
    """Twelve trials without a break: ten to start with, and two that TPE chooses by them."""
    return search(12)


def line(split, params, rate, epochs, batch_size, seed):
    """Linear regression by gradient descent in float64: the loss on the held-out part."""
    inputs = (split.train.inputs.astype(np.float64) - split.mean) / split.deviation
    held = (split.test.inputs.astype(np.float64) - split.mean) / split.deviation
    w, b = params
    order = data.batches(len(inputs), batch_size, seed)
    for _ in range(epochs):
        for chosen in next(order):
            x, y = inputs[chosen], split.train.targets[chosen].astype(np.float64)
            error = x @ w + b - y
            w, b = w - rate * 2 * x.T @ error / len(y), b - rate * 2 * error.mean()
    return np.mean((held @ w + b - split.test.targets) ** 2)


def test_a_trial_is_judged_by_the_loss_on_held_out_training_examples():
    found = search(3, optimizer="sgd", space=None, seeds=[7, 9], pruner="none")
    for trial in found.trials:
        losses = []
        for seed in (7, 9):
            params = runner.start(SMALL, adaptax.sgd(0.1), seed).params
            w, b = (np.asarray(leaf, np.float64) for leaf in _kernel_and_bias(params))
            split = validation_split(SMALL.load(None), seed, None)
            rate = trial.values["learning_rate"]
            losses.append(line(split, (w, b), rate, 2, SMALL.batch_size, seed))
        np.testing.assert_allclose(trial.loss, np.mean(losses), rtol=1e-5)
        assert trial.curve[-1] == pytest.approx(losses[0], rel=1e-5)
        assert trial.steps == 2 * 2 * (283 // 32)


def _kernel_and_bias(params):
    leaves = jax.tree.leaves(params)
    return sorted((np.squeeze(leaf) for leaf in leaves), key=lambda leaf: -leaf.size)


def test_the_test_examples_are_never_looked_at():
    def poisoned(data_dir):
        found = SMALL.data(data_dir)
        return dataclasses.replace(
            found, test=data.Arrays(np.full((9, 10), 1e30), np.full(9, 1e30))
        )

    found = search(2, task=dataclasses.replace(SMALL, data=poisoned))
    assert all(math.isfinite(trial.loss) for trial in found.trials)
    assert found.search.train_examples + found.search.validation_examples == 442


def test_the_first_trial_is_the_defaults_and_the_rest_are_drawn(whole):
    first, *rest = whole.trials
    assert first.defaults and not any(trial.defaults for trial in rest)
    assert first.values == {"learning_rate": 0.1, "weight_decay": 1e-4, "b1": 0.9}
    assert len({trial.call for trial in whole.trials}) == 12
    assert {trial.values["b1"] for trial in rest} == {0.8, 0.9}
    assert all(1e-5 <= trial.values["learning_rate"] <= 1 for trial in rest)


def test_the_same_search_makes_the_same_trials_and_another_seed_others(whole):
    assert made(search(3)) == made(whole)[:3]
    assert made(search(2, seed=1))[1] != made(whole)[1]


def test_all_trials_share_one_compiled_program(monkeypatch):
    compiled, counts = [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiled.append(name) if "backend_compile" in name else None
    )
    progress = At()
    monkeypatch.setattr(progress, "finished", lambda summary: counts.append(len(compiled)))
    search(5, space=["b1=0.8..0.9", "b2=0.9..0.99", "eps=log:1e-8..1e-3"], progress=progress)
    assert len(counts) == 5 and counts[0] > 0
    assert set(counts) == {counts[0]}


def test_a_search_goes_on_where_it_stopped(tmp_path, whole):
    storage = tmp_path / "trials.log"
    assert made(search(3, storage=storage)) == made(whole)[:3]
    again = search(12, storage=storage)
    assert made(again) == made(whole)
    assert [trial.number for trial in again.trials] == list(range(12))
    done = search(12, storage=storage)
    assert done.trials == again.trials and done.compile_seconds == 0.0


def test_a_search_goes_on_with_a_database(tmp_path, whole):
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    assert made(search(1, storage=storage)) == made(whole)[:1]
    assert made(search(2, storage=storage)) == made(whole)[:2]


def test_an_interruption_keeps_what_finished_and_repeats_what_did_not(tmp_path, whole):
    storage = tmp_path / "trials.log"
    cut = search(12, storage=storage, progress=At(2))
    assert cut.interrupted and made(cut) == made(whole)[:2]
    assert "interrupted: 2 of 12 trials finished" in cut.table()
    again = search(12, storage=storage, progress=At(0))  # the repeated one is cut short again
    assert again.interrupted and made(again) == made(whole)[:2]
    last = search(12, storage=storage)
    assert not last.interrupted and made(last) == made(whole)


def test_a_killed_process_loses_only_its_trial(tmp_path, whole):
    storage = tmp_path / "trials.log"
    search(2, storage=storage)
    plan = prepare(SMALL, "adamw", 12, SPACE, seeds=1, storage=storage)
    with plan.opened() as study:
        study.sampler = studies.sampler("tpe", plan.space, 12, 0, 2)
        trial = study.ask()
        trial.suggest_float("learning_rate", 1e-5, 1, log=True)
        trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
        trial.suggest_categorical("b1", (0.8, 0.9))
    with open(storage, "ab") as file:
        file.write(b'{"op_code":4,"worker')  # as far as it came
    assert made(search(12, storage=storage)) == made(whole)
    with plan.opened() as study:
        states = [trial.state.name for trial in study.trials]
    assert states[2] == "FAIL" and "RUNNING" not in states


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": dataclasses.replace(SMALL, name="other")}, "task=diabetes-linear, not other"),
        ({"optimizer": "nadamw"}, "optimizer=adamw, not nadamw"),
        ({"optimizer": "adamw(eps=0.1)"}, r"optimizer=adamw, not adamw\(eps=0.1\)"),
        ({"space": "b1=0.8,0.9"}, "with space="),
        ({"epochs": 1}, "with epochs=2, not 1"),
        ({"batch_size": 16}, "with batch_size=32, not 16"),
        ({"seeds": 2}, "with seeds="),
        ({"seed": 1}, "with seed=0, not 1"),
        ({"sampler": "random"}, "sampler=tpe, not random"),
        ({"pruner": "none"}, "pruner=median, not none"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_storage_of_another_search_is_refused(kept, change, message):
    with pytest.raises(ValueError, match=message):
        search(2, storage=kept, **change)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    storage = tmp_path_factory.mktemp("kept") / "trials.log"
    search(1, storage=storage)
    return storage


def test_several_searches_may_share_a_storage_under_names(kept):
    assert len(search(1, storage=kept, optimizer="adam", space=None, study="mine").trials) == 1
    assert len(search(1, storage=kept).trials) == 1


def test_a_storage_that_is_none_is_refused_and_left_alone(tmp_path):
    other = tmp_path / "other"
    for content in (b"precious", b"{}\n", b"1\n", b"\xff\xfe\n", b'{"a": 1}'):
        other.write_bytes(content)
        with pytest.raises(ValueError, match="holds something else than trials"):
            search(1, storage=other)
        assert other.read_bytes() == content
    with pytest.raises(OSError, match="cannot be written to"):
        search(1, storage=tmp_path / "no" / "file")
    with pytest.raises(ValueError, match="a file or a URL that starts with sqlite:///"):
        search(1, storage="mysql://me:secret@host/db")
    with pytest.raises(ValueError, match="cannot be opened"):
        search(1, storage=f"sqlite:///{tmp_path}/no/file")


def test_a_study_of_another_program_is_refused(tmp_path):
    storage = f"sqlite:///{tmp_path / 'mine.db'}"
    study = optuna.create_study(storage=storage, study_name="adaptax")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(ValueError, match="the study 'adaptax' in it is not adaptax's"):
        search(1, storage=storage)


def test_two_processes_do_not_search_with_one_file(tmp_path):
    plan = prepare(SMALL, "adamw", 1, storage=tmp_path / "trials.log")
    with plan.opened(), pytest.raises(OSError, match="in use by another process"):
        search(1, storage=tmp_path / "trials.log")
    with plan.opened():
        pass


def planned(rates, **changes):
    """A search whose first trials have the given rates."""
    plan = prepare(SMALL, "sgd", len(rates), ["learning_rate=1e-7..1e30"], **changes)
    progress = At()
    with plan.opened() as study:
        for rate in rates:
            study.enqueue_trial({"learning_rate": rate})
        return run(plan, study, progress), progress.ends


def test_a_hopeless_rate_is_pruned_and_a_wild_one_ends_where_it_diverges():
    rates = [0.05, 0.06, 0.07, 0.04, 0.03, 1e-7, 1e20]
    found, ends = planned(rates, seeds=2)
    *good, slow, wild = found.trials
    assert [trial.state for trial in good] == ["complete"] * 5
    assert slow.state == "pruned" and slow.loss is None and len(slow.curve) == 1
    assert slow.steps == 8 and good[0].steps == 32
    assert wild.state == "diverged" and 1 < wild.diverged_at <= 8
    assert wild.steps == wild.diverged_at and wild.curve == ()
    assert ends[0] == f"validation loss {good[0].loss:.4g}, rate 0.05, best so far"
    assert ends[5:] == [
        "pruned after epoch 1, rate 1e-07",
        f"diverged at step {wild.diverged_at}, rate 1e+20",
    ]
    table = found.table()
    assert "7 trials: 5 complete, 1 pruned, 1 diverged\n" in table
    assert "pruned after epoch 1\n" in table and f"diverged at step {wild.diverged_at}\n" in table
    assert [trial.number for trial in found.ranked()][5:] == [5, 6]
    assert found.best is min(good, key=lambda trial: trial.loss)
    for axes in tune_picture._figure(found).axes:  # what has no loss stands on the upper edge
        lost = next(c for c in axes.collections if c.get_label() == "diverged").get_offsets()
        low, high = axes.get_xlim()
        assert lost.shape == (1, 2) and low <= lost[0, 0] <= high and lost[0, 1] == 1.0


def test_without_a_pruner_every_trial_is_whole():
    found, _ = planned([0.05] * 5 + [1e-7], seeds=1, pruner="none")
    assert [trial.state for trial in found.trials] == ["complete"] * 6


def test_a_search_whose_trials_all_diverge_has_no_best():
    found, _ = planned([1e25, 1e20], seeds=1)
    assert found.best is None and [trial.state for trial in found.trials] == ["diverged"] * 2
    assert "best:" not in found.table() and json.loads(found.to_json())["best"] is None
    assert tune_picture._figure(found) is not None


def test_a_grid_tries_every_point_once_and_a_random_search_goes_anywhere(tmp_path):
    axes = ["learning_rate=1e-3..1e-1", "b1=0.8,0.9"]
    found = search(7, space=axes, sampler="grid", storage=tmp_path / "grid.log", pruner="none")
    tried = {(t.values["learning_rate"], t.values["b1"]) for t in found.trials}
    assert tried == {(rate, b1) for rate in (0.001, 0.01, 0.1) for b1 in (0.8, 0.9)}
    assert len(found.trials) == found.search.trials == 6
    assert search(7, space=axes, sampler="grid", storage=tmp_path / "grid.log", pruner="none")
    with pytest.raises(ValueError, match=r"with (space=|trials=6, not 4)"):
        search(4, space=axes, sampler="grid", storage=tmp_path / "grid.log", pruner="none")
    random = search(4, space=axes, sampler="random")
    assert len({t.values["learning_rate"] for t in random.trials}) == 4
    assert not any(t.defaults for t in random.trials)


def test_a_sampler_and_a_pruner_of_optunas_are_taken():
    sampler = optuna.samplers.RandomSampler(seed=1)
    found = search(2, sampler=sampler, pruner=optuna.pruners.ThresholdPruner(upper=1e-9))
    assert found.search.sampler == "RandomSampler" and found.search.pruner == "ThresholdPruner"
    assert [trial.state for trial in found.trials] == ["pruned"] * 2


def test_the_best_call_is_what_a_comparison_takes(whole):
    (taken,) = candidates(SMALL, whole.best.call, None)
    assert taken.transformation == adaptax.adamw(**whole.best.values)
    fixed = search(1, optimizer="adamw(nesterov=True, mu_dtype='bfloat16')").best
    assert "mu_dtype='bfloat16'" in fixed.call
    (taken,) = candidates(SMALL, fixed.call, None)
    expected = adaptax.adamw(**fixed.values, nesterov=True, mu_dtype="bfloat16")
    assert taken.transformation == expected


def test_the_table_and_the_files(tmp_path, whole):
    found = search(4, output=tmp_path / "out")
    table = found.table()
    assert table.splitlines()[-1] == f"best: {found.best.call}"
    assert "learning_rate=log:1e-05..1.0" in table and " (defaults)\n" in table
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert content["format"] == "adaptax.tuning/1" and content["best"] == found.best.call
    assert content["trials"][3]["values"] == whole.trials[3].values
    assert (tmp_path / "out" / "search.png").read_bytes()[:4] == b"\x89PNG"


def test_the_picture_has_every_trial_in_both_halves(whole):
    by_trial, by_rate = tune_picture._figure(whole).axes
    complete = [trial for trial in whole.trials if trial.state == "complete"]
    assert by_rate.get_xscale() == "log" == by_trial.get_yscale()
    for axes, places in (
        (by_trial, [trial.number for trial in complete]),
        (by_rate, [trial.values["learning_rate"] for trial in complete]),
    ):
        points = axes.collections[0].get_offsets().data.tolist()
        assert points == [[place, t.loss] for place, t in zip(places, complete, strict=True)]
    (best,) = (line for line in by_trial.get_lines() if line.get_label() == "best so far")
    losses = [trial.loss for trial in complete]
    assert list(best.get_ydata())[:-1] == [min(losses[: i + 1]) for i in range(len(losses))]
    with pytest.raises(ValueError, match="the ending must be one of"):
        whole.plot("search.txt")


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"optimizer": "adamww"}, ValueError, "unknown optimizer 'adamww'; did you mean 'adamw'"),
        ({"optimizer": "cosine(0.1, 5)"}, ValueError, "unknown optimizer 'cosine'"),
        ({"optimizer": "adamw(0.1)"}, ValueError, "leave the learning rate out"),
        ({"optimizer": "adamw(learning_rate=0.1)"}, ValueError, "leave the learning rate out"),
        ({"optimizer": "adamw(b1=2.0)"}, ValueError, "b1=2.0"),
        ({"optimizer": "adamw sgd"}, ValueError, "does not read as a call"),
        ({"optimizer": adaptax.adamw(0.1)}, TypeError, "text is needed, such as 'adamw'"),
        ({"trials": 0}, ValueError, "trials=0: a whole number from 1 to 100,000"),
        ({"trials": 2.5}, TypeError, "trials=2.5: a whole number"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seeds": 0}, ValueError, "seeds=0"),
        ({"epochs": 0}, ValueError, "epochs=0"),
        ({"batch_size": 300}, ValueError, "batch_size=300: .* 283 training examples"),
        ({"sampler": "tpo"}, ValueError, "sampler='tpo': did you mean 'tpe'"),
        ({"pruner": 3}, TypeError, "pruner=3: one of median, none"),
        ({"space": "b9=0..1"}, ValueError, "no argument 'b9'"),
    ],
    ids=range(16),
)  # fmt: skip
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, change, kind, message):
    given = {"trials": 1, **change}
    with pytest.raises(kind, match=message):
        search(**given, storage=tmp_path / "s", output=tmp_path / "o")
    assert not list(tmp_path.iterdir())


def test_without_optuna_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'needs optuna, not installed; run: pip install "adapt'):
        search(1)


def test_optuna_is_quiet_and_as_it_was_afterwards(capfd):
    before = optuna.logging.get_verbosity(), list(warnings.filters)
    search(2)
    assert capfd.readouterr() == ("", "")
    assert before == (optuna.logging.get_verbosity(), list(warnings.filters))


@pytest.mark.slow
def test_a_model_with_dropout_and_two_seeds():
    found = lab.tune(TINY, "sgd", 3, space="momentum=0.5..0.9", epochs=1, batch_size=8)
    assert [trial.steps for trial in found.trials] == [16, 16, 16]
    assert found.search.seeds == (1000, 1001) and not found.trials[0].defaults
