"""The command `adaptax tune`, from words to files."""

import io
import json
import os
import pathlib
import sys

import pytest

from adaptax.cli import tune as command
from adaptax.cli.main import main
from adaptax.lab import progress, tune_progress
from adaptax.lab.candidates import candidates
from adaptax.lab.tasks import task

QUICK = ["tune", "diabetes-linear", "--epochs", "2", "--seeds", "1"]


class Cut(progress.Progress):
    """Ctrl-C in the n-th trial."""

    def __init__(self, at):
        self.at, self.runs = at, 0

    def run(self, label, seed):
        self.runs += 1
        if self.runs > self.at:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Folders are made under the working directory by default."""
    monkeypatch.chdir(tmp_path)


def test_a_search_from_words_to_files(capsys):
    space = ["--space", "weight_decay=log:1e-4..1e-1", "b1=0.8,0.9", "--space", "eps=1e-8..1e-6"]
    assert main([*QUICK, "--trials", "5", *space, "--output", "found"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(pathlib.Path("found/results.json").read_text())
    assert out.splitlines()[-1] == f"best: {content['best']}"
    (best,) = candidates(task("diabetes-linear"), content["best"], None)
    assert best.call is not None and "weight_decay" in best.call
    assert list(content["search"]["space"]) == ["learning_rate", "weight_decay", "b1", "eps"]
    lines = err.splitlines()
    assert lines[0] == "adamw: 5 trials of 16 steps for each seed"
    assert lines[1].startswith("[1/5] trial 0: validation loss ")
    assert lines[1].endswith(", rate 0.1, best so far")
    assert lines[-1] == "wrote results.json and search.png to found"
    assert "\x1b" not in out + err
    assert sorted(os.listdir("found")) == ["results.json", "search.png"]


def test_json_alone_and_a_folder_of_its_own(capsys):
    words = ["--optimizer", "sgd(nesterov=True)", "--space", "momentum=0.5..0.9", "--json"]
    assert main([*QUICK, *words, "--trials", "2", "--sampler", "random", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "nesterov=True" in json.loads(out)["best"]
    (folder,) = os.listdir("runs")
    assert folder.startswith("tune-diabetes-linear-20")
    assert pathlib.Path("runs", folder, "results.json").read_text() == out


def test_an_interrupted_search_goes_on_with_the_same_command(capsys, monkeypatch):
    words = [*QUICK, "--trials", "3", "--storage", "trials.log"]
    with monkeypatch.context() as patch:
        patch.setattr(command, "_progress", lambda arguments: Cut(2))
        assert main(words) == 130
    out, err = capsys.readouterr()
    assert "interrupted: 2 of 3 trials finished" in out
    assert err.endswith("adaptax: interrupted: 2 of 3 trials finished; the same command goes on\n")
    assert main([*words, "--output", "rest"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("adamw: 1 trials of 16 steps") and "3 trials: " in out
    assert "goes on" not in out + err
    with monkeypatch.context() as patch:
        patch.setattr(command, "_progress", lambda arguments: Cut(0))
        assert main([*QUICK, "--output", "none"]) == 130
    err = capsys.readouterr().err
    assert err.endswith("0 of 30 trials finished; with --storage FILE a search can go on\n")
    assert not os.path.exists("none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tune"], "the following arguments are required: TASK"),
        (["tune", "digit-mlp"], "unknown task 'digit-mlp'; did you mean 'digits-mlp'"),
        ([*QUICK, "--optimizer", "adma"], "unknown optimizer 'adma'; did you mean 'adam"),
        ([*QUICK, "--optimizer", "adam(0.1)"], "leave the learning rate out"),
        ([*QUICK, "--space", "b9=0..1"], "adamw() has no argument 'b9'; did you mean 'b"),
        ([*QUICK, "--space", "b1=0.5..2"], "b1 must be a number in [0, 1)"),
        ([*QUICK, "--space", "b1"], "is not NAME=RANGE"),
        ([*QUICK, "--sampler", "tpa"], "sampler='tpa': did you mean 'tpe'"),
        ([*QUICK, "--sampler", "grid", "--trials", "1"], "the smallest grid over this space has 2"),
        ([*QUICK, "--trials", "few"], "argument --trials: 'few' is not a whole number"),
        ([*QUICK, "--storage", "precious"], "'precious' holds something else than trials"),
        ([*QUICK, "--storage", "no/file"], "'no/file' cannot be written to"),
        ([*QUICK, "--output", "precious"], "'precious' is a file"),
        ([*QUICK, "--trails", "3"], "did you mean '--trials'"),
    ],
    ids=range(14),
)
def test_bad_input_is_refused_in_one_line_with_status_2(capsys, tmp_path, words, message):
    (tmp_path / "precious").write_text("mine")
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaptax: error: ") and err.count("\n") == 1, (out, err)
    assert message in err
    assert os.listdir() == ["precious"] or not os.listdir("runs")
    assert (tmp_path / "precious").read_text() == "mine"


def test_without_optuna_the_error_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(QUICK) == 2
    assert capsys.readouterr().err == (
        'adaptax: error: the search needs optuna, not installed; run: pip install "adaptax[tune]"\n'
    )


def test_a_terminal_has_one_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    bar = tune_progress.for_stream(stream)
    with bar:
        bar.begin(["sgd"], 2, 8, task("diabetes-linear").metric)
        bar.optimizer("sgd")
        for trial in range(2):
            bar.run(f"trial {trial}", 1000)
            bar.step(8, 0.5, 0.1)
            bar.evaluated(8, 0.75)
            (row,) = bar._display.tasks
            assert row.fields["shown"] == f"trial {trial} seed 1000  step 8  validation 0.75"
            bar.finished(f"validation loss {trial}")
        assert row.completed == 2 and row.finished
    assert "validation loss 1" in stream.getvalue()
