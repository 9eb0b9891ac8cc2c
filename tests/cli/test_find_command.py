"""The command `adaptax find-lr`."""

import json
import os

import pytest

from adaptax.cli.main import main

QUICK = ["find-lr", "diabetes-linear"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Folders are made under the working directory by default."""
    monkeypatch.chdir(tmp_path)


def test_a_range_test_from_words_to_files(capsys):
    assert main([*QUICK, "--optimizer", "sgd(momentum=0.9)", "--output", "found"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("diabetes-linear: linear regression")
    assert "\nrecommended learning rate: 0.00" in out and "│" in out
    assert err.endswith("wrote results.json and range_test.png to found\n") and "\x1b" not in out
    assert sorted(os.listdir("found")) == ["range_test.png", "results.json"]
    with open("found/results.json") as file:
        content = json.load(file)
    assert content["format"] == "adaptax.rate-test/1" and content["seed"] == 0
    assert content["optimizer"] == "sgd(momentum=0.9)" and "jax" in content["versions"]
    assert 1e-4 < content["result"]["recommended"] < 0.1 and content["result"]["horizon"] is None


def test_trainings_and_json_alone_on_standard_output(capsys):
    words = ["--trainings", "--epochs", "2", "--optimizer", "adam", "--seed", "4", "--json"]
    assert main([*QUICK, *words, "--quiet"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert err == "" and content["seed"] == 4 and content["epochs"] == 2
    assert content["result"]["horizon"] == 22 and len(content["result"]["trials"]) > 3
    (folder,) = os.listdir("runs")
    assert folder.startswith("find-lr-diabetes-linear-20")
    with open(f"runs/{folder}/results.json") as file:
        assert json.load(file) == content


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["find-lr"], "the following arguments are required: TASK"),
        (["find-lr", "digit-mlp"], "unknown task 'digit-mlp'; did you mean 'digits-mlp'"),
        ([*QUICK, "--optimizer", "adma"], "unknown optimizer 'adma' in 'adma'; did you mean 'adam"),
        ([*QUICK, "--optimizer", "adam(0.1)"], "leave it out"),
        ([*QUICK, "--optimizer", "adam(b1=2.0)"], "b1=2.0"),
        ([*QUICK, "--optimizer", "open('x')"], "unknown optimizer 'open'"),
        ([*QUICK, "--epochs", "3"], "add trainings=True (--trainings)"),
        ([*QUICK, "--batch-size", "2000"], "batch_size=2000"),
        ([*QUICK, "--seed", "-1"], "seeds=[-1]"),
        ([*QUICK, "--data-dir", "."], "brings its own data"),
        (["find-lr", "cifar10-lenet5"], "data_dir (--data-dir) is missing"),
        ([*QUICK, "--optimiser", "adam"], "did you mean '--optimizer'"),
        ([*QUICK, "--output", "file"], "is a file"),
    ],
    ids=lambda given: " ".join(given[2:]) if isinstance(given, list) else "",
)
def test_bad_input_is_refused_in_one_line_with_status_2(capsys, tmp_path, words, message):
    (tmp_path / "file").touch()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaptax: error: ") and err.count("\n") == 1
    assert message in err and not os.path.exists("runs")
