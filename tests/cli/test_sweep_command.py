"""`adaptax sweep` and `adaptax compare --tune`, from words to files."""

import json
import os

import pytest

from adaptax import lab
from adaptax.cli.main import main
from adaptax.lab.sweeps import Sweeps

QUICK = ["sweep", "diabetes-linear", "--epochs", "2", "--seeds", "1"]
SHORT = [*QUICK, "--optimizers", "sgd", "--rates", "0.01,0.1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_sweep_from_words_to_files(capsys):
    words = ["--optimizers", "sgd", "adam(cosine(1.0, 16))", "--rates", "0.1,0.001,0.01"]
    assert main([*QUICK, *words, "--output", "found"]) == 0
    out, err = capsys.readouterr()
    found = Sweeps.load("found")
    assert out == found.table() and "\x1b" not in out + err
    assert err.endswith("wrote results.json and sweep.png to found\n")
    assert sorted(os.listdir("found")) == ["results.json", "sweep.png"]
    one, other = found.entries
    assert one.label == "sgd" and one.sweep.rates == (0.001, 0.01, 0.1)
    assert one.sweep.seeds == (1000,) and one.sweep.steps == 2 * (283 // 32)
    assert one.call.startswith("sgd(learning_rate=0.1")
    assert other.label == "adam(cosine(1.0, 16))" and "product_of(" in other.call
    assert "sgd: 3 rates, 1 seed, 16 steps" in out and "adam(cosine(1.0, 16)): 3 rates" in out
    assert found.epochs == 2 and not found.interrupted and found.versions["jax"]


def test_json_alone_on_standard_output(capsys):
    assert main([*SHORT, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["format"] == "adaptax.sweeps/1" and err == ""
    (folder,) = os.listdir("runs")
    assert folder.startswith("sweep-diabetes-linear-20")
    assert Sweeps.load(f"runs/{folder}").to_json() == out


@pytest.mark.parametrize(
    ("words", "rates"),
    [
        (["--low", "0.01", "--high", "1", "--points", "3"], (0.01, 0.1, 1.0)),
        (["--low", "1", "--points", "2"], (1.0, 5.0)),
        (["--rates", "0.3,"], (0.3,)),
    ],
)
def test_the_grid(words, rates):
    assert main([*QUICK, "--optimizers", "sgd", *words, "--quiet", "--output", "o"]) == 0
    assert Sweeps.load("o").entries[0].sweep.rates == rates


def test_halving_and_fewer_examples(capsys):
    words = ["--optimizers", "sgd", "--points", "2", "--halving", "2", "--examples", "100"]
    assert main([*QUICK, *words, "--quiet", "--output", "o"]) == 0
    found = Sweeps.load("o")
    assert found.examples == 100 and found.entries[0].sweep.steps == 2 * (80 // 32)
    assert "halving: 2 for 2, 1 for 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digit-mlp"], "unknown task 'digit-mlp'; did you mean 'digits-mlp'"),
        (["digits-mlp", "--optimizers", "adma"], "did you mean 'adam"),
        (["digits-mlp", "--optimizers", "adam(plateau(0.1))"], "has a controller"),
        (["digits-mlp", "--rates", "0.1,0.1"], "comes twice"),
        (["digits-mlp", "--rates", "0.1,-1"], "rates=-1.0"),
        (["digits-mlp", "--rates", ","], "at least one number"),
        (["digits-mlp", "--rates", "0.1,fast"], "'fast' is not a number"),
        (["digits-mlp", "--rates", "0.1", "--points", "3"], "either these or --low"),
        (["digits-mlp", "--low", "1", "--high", "0.1"], "--low 1 --high 0.1: 0 < low < high"),
        (["digits-mlp", "--points", "1"], "--points 1: at least 2"),
        (["digits-mlp", "--seeds", "0"], "seeds=0"),
        (["digits-mlp", "--seeds", "1,1"], "only once"),
        (["digits-mlp", "--epochs", "0"], "epochs=0"),
        (["digits-mlp", "--examples", "0"], "examples=0"),
        (["digits-mlp", "--examples", "50"], "batch_size=64.*has 40 examples"),
        (["digits-mlp", "--halving", "1"], "halving=1"),
        (["cifar10-lenet5"], "data_dir"),
        ([], "the following arguments are required: TASK"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_refused_in_one_line_with_status_2(capsys, words, message):
    import re

    assert main(["sweep", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaptax: error: ") and err.count("\n") == 1, (out, err)
    assert re.search(message, err) and not os.path.exists("runs")


def test_a_folder_with_files_is_refused_unless_forced(capsys, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    assert main([*SHORT, "--output", "."]) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*SHORT, "--output", ".", "--force", "--quiet"]) == 0
    assert sorted(os.listdir()) == ["precious.txt", "results.json", "sweep.png"]


def interrupted_at(monkeypatch, number):
    """Ctrl-C in the n-th sweep, after its first steps, or, from 0, before them."""
    from adaptax.lab import search
    from adaptax.tuning.meter import Meter

    count, original, add = [0], search.sweep, Meter.add

    def sweep(*args, **kwargs):
        count[0] += 1
        return original(*args, **kwargs)

    def stop(self, steps):
        if count[0] == number:
            raise KeyboardInterrupt
        add(self, steps)

    monkeypatch.setattr(search, "sweep", sweep)
    monkeypatch.setattr(Meter, "add", stop)


def test_an_interruption_keeps_the_sweeps_that_finished(capsys, monkeypatch):
    interrupted_at(monkeypatch, 2)
    words = ["--optimizers", "sgd", "adam", "--rates", "0.1", "--output", "cut"]
    assert main([*QUICK, *words]) == 130
    out, err = capsys.readouterr()
    found = Sweeps.load("cut")
    assert found.interrupted and found.planned == 2
    assert [entry.sweep.interrupted for entry in found.entries] == [False, True]
    assert "interrupted: 0 of 1 trainings judged" in out
    assert err.endswith("adaptax: interrupted: finished sweeps kept: 1 of 2\n")


def test_an_interruption_before_any_step_writes_nothing(capsys, monkeypatch):
    def sweep(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("adaptax.lab.search.sweep", sweep)
    assert main([*SHORT, "--output", "cut"]) == 130
    assert capsys.readouterr().out == "" and not os.path.exists("cut")


def test_what_is_no_results_file_of_sweeps_is_refused(tmp_path):
    for content in ("{", "[]", '{"format": "other"}', '{"format": "adaptax.sweeps/1"}'):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(ValueError, match=r"not JSON|no sweeps of format|missing or unknown"):
            Sweeps.load(tmp_path)


def test_a_tuned_comparison_from_words_to_files(capsys):
    words = ["compare", "--task", "diabetes-linear", "--epochs", "2", "--seeds", "1"]
    words += ["--optimizers", "sgd", "--tune", "--tune-budget", "4", "--output", "found"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    (entry,) = lab.Comparison.load("found").optimizers
    assert entry.tuned.trainings == 4 and entry.rate == repr(entry.tuned.rate)
    assert "rate: the best of 4" in out and f"sgd: rate {entry.tuned.rate:.4g} of 4" in err


def test_a_budget_without_tuning_is_refused(capsys):
    assert main(["compare", "--tune-budget", "4"]) == 2
    assert "only with tune=True (--tune)" in capsys.readouterr().err
