"""The command `adaptax`, in this process and, where it matters, in one of its own."""

import json
import os
import resource
import subprocess
import sys

import pytest

import adaptax
from adaptax import lab
from adaptax.cli import compare as command
from adaptax.cli.main import COMMANDS, main
from adaptax.lab import progress

QUICK = ["compare", "--task", "digits-mlp", "--epochs", "1"]


class Act(progress.Progress):
    """Does something when the n-th run starts."""

    def __init__(self, at, act):
        self.at, self.act, self.runs = at, act, 0

    def run(self, label, seed):
        if self.runs == self.at:
            self.act()
        self.runs += 1


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Folders are made under the working directory by default."""
    monkeypatch.chdir(tmp_path)


def refusal(capsys, *words: str) -> str:
    """The one line with which the command refuses `words`."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaptax: error: ") and err.count("\n") == 1, (out, err)
    return err


def test_a_comparison_from_words_to_files(capsys, tmp_path):
    words = ["--optimizers", "adam", "sgd(0.1)", "--seeds", "2", "--output", "found"]
    assert main([*QUICK, *words]) == 0
    out, err = capsys.readouterr()
    found = lab.Comparison.load("found")
    assert out == "\n" + found.table()
    assert [entry.label for entry in found.optimizers] == ["adam", "sgd(0.1)"]
    assert found.seeds == (0, 1) and len(found.runs) == 4
    lines = err.splitlines()
    assert lines[0] == "optimizers: 2, seeds: 2, steps of a run: 22"
    assert lines[1].startswith("[1/4] adam seed 0: accuracy ")
    assert lines[-1] == "wrote results.json and curves.png to found"
    assert "\x1b" not in out + err
    assert sorted(os.listdir("found")) == ["curves.png", "results.json"]


def test_json_alone_on_standard_output(capsys):
    assert main([*QUICK, "--optimizers", "sgd", "--seeds", "5,", "--json"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert content["seeds"] == [5] and len(content["runs"]) == 1
    assert "optimizers: 1, seeds: 1" in err
    (folder,) = os.listdir("runs")
    assert folder.startswith("compare-digits-mlp-20")
    assert lab.Comparison.load(f"runs/{folder}") == lab.Comparison.from_json(out)


def test_quiet_shows_the_table_alone_and_the_curves_are_the_same(capsys):
    words = [*QUICK, "--optimizers", "sgd", "--seeds", "1"]
    assert main([*words, "--quiet", "--output", "quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out == lab.Comparison.load("quiet").table()
    assert main([*words, "--output", "shown"]) == 0
    quiet, shown = lab.Comparison.load("quiet").runs[0], lab.Comparison.load("shown").runs[0]
    assert quiet.losses == shown.losses and quiet.metric == shown.metric


def test_a_rate_and_a_schedule_for_all(capsys):
    words = [*QUICK, "--quiet", "--optimizers", "sgd", "--seeds", "1"]
    assert main([*words, "--learning-rate", "0.25", "--output", "number"]) == 0
    assert main([*words, "--learning-rate", "cosine(0.25, 22)", "--output", "schedule"]) == 0
    assert lab.Comparison.load("number").optimizers[0].rate == "0.25"
    assert lab.Comparison.load("schedule").optimizers[0].rate.startswith("cosine(")
    rates = lab.Comparison.load("schedule").runs[0].rates
    assert rates[0] == 0.25 and rates[-1] < 0.01


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no command given; choose from compare, "),
        (["comprae"], "invalid choice: 'comprae'"),
        (["compare", "--epoch", "1"], "unrecognized arguments: --epoch 1"),
        (["compare", "--epochs", "many"], "argument --epochs: 'many' is not a whole number"),
        (["compare", "--epochs", "0"], "epochs=0: a whole number of at least 1"),
        (["compare", "--batch-size", "2000"], "batch_size=2000"),
        (["compare", "--seeds", "0"], "seeds=0"),
        (["compare", "--seeds", "1,x"], "argument --seeds: 'x' is not a whole number"),
        (["compare", "--seeds", "1,1"], "only once"),
        (["compare", "--task", "digit-mlp"], "unknown task 'digit-mlp'; did you mean 'digits-mlp'"),
        (
            ["compare", "--optimizers", "adma"],
            "unknown optimizer 'adma' in 'adma'; did you mean 'adam",
        ),
        (["compare", "--optimizers", "adam(b3=1)"], "adam() has no argument 'b3'; did you mean 'b"),
        (["compare", "--optimizers", "adam(b1=2.0)"], "b1=2.0"),
        (["compare", "--optimizers", "open('/etc/passwd')"], "unknown optimizer 'open'"),
        (["compare", "--learning-rate", "quick"], "learning_rate='quick'"),
        (["compare", "--learning-rate", "-0.1"], "learning_rate=-0.1"),
        (["compare", "--task", "cifar10-lenet5"], "data_dir (--data-dir) is missing"),
        (["compare", "--task", "cifar10-lenet5", "--data-dir", "no"], "'no' is no folder; unpack"),
        (["compare", "--data-dir", "."], "brings its own data"),
        (["compare", "--task", "a\n\x1b[31m"], "'a\\n\\x1b[31m'"),
        (["compare", "--output", "file\x1b[31m/below"], "'file\\x1b[31m/below'"),
        (["compare", "--output", "a\0b"], "output="),
        (["list", "more"], "unrecognized arguments: more (see adaptax list --help)"),
        (["compare", "--optimzers", "adam"], "did you mean '--optimizers'"),
        (["compare", "--optimizers", "clip(1.0)"], "'clip(1.0)' has no learning rate"),
    ],
)
def test_bad_input_is_refused_in_one_line_with_status_2(capsys, tmp_path, words, message):
    (tmp_path / "file\x1b[31m").touch()
    assert message in refusal(capsys, *words)
    assert not os.path.exists("runs")


def test_a_folder_with_files_is_refused_unless_forced(capsys, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("mine")
    words = [*QUICK, "--optimizers", "sgd", "--seeds", "1", "--quiet", "--output", "full"]
    assert "--force" in refusal(capsys, *words)
    assert main([*words, "--force"]) == 0
    assert sorted(os.listdir("full")) == ["curves.png", "precious.txt", "results.json"]


def test_a_file_for_a_folder_is_refused(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert "'file' is a file" in refusal(capsys, *QUICK, "--output", "file")
    assert "'file' is a file" in refusal(capsys, *QUICK, "--output", "file/below")


def test_an_interruption_shows_and_keeps_what_finished(capsys, monkeypatch):
    monkeypatch.setattr(command, "_progress", lambda arguments: Act(1, interrupt))
    words = ["--optimizers", "sgd", "sgd(0.1)", "--seeds", "1", "--output", "cut"]
    assert main([*QUICK, *words]) == 130
    out, err = capsys.readouterr()
    found = lab.Comparison.load("cut")
    assert found.interrupted and [run.optimizer for run in found.runs] == ["sgd"]
    assert "interrupted: 1 of 2 runs finished" in out and "not run" in out
    assert err.endswith("adaptax: interrupted: finished runs kept: 1\n")


def test_an_interruption_before_any_run_writes_nothing(capsys, monkeypatch):
    monkeypatch.setattr(command, "_progress", lambda arguments: Act(0, interrupt))
    assert main([*QUICK, "--output", "cut"]) == 130
    assert capsys.readouterr() == ("", "adaptax: interrupted: no run had finished\n")
    assert not os.path.exists("cut")


def test_a_full_disk_at_the_end_leaves_the_table_and_one_warning(capsys, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = Act(0, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard)))
    monkeypatch.setattr(command, "_progress", lambda arguments: full)
    try:
        status = main([*QUICK, "--optimizers", "sgd", "--seeds", "1", "--output", "o"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    out, err = capsys.readouterr()
    assert status == 1 and "test accuracy: " in out
    assert err.count("\n") == 1 and err.startswith("adaptax: warning: results not written to o: ")


def test_the_list_has_every_name_with_its_line(capsys):
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    sections = dict(part.split("\n", 1) for part in out.split("\n\n"))
    assert list(sections) == ["optimizers", "schedules", "controllers", "tasks"]
    names = {title: [line.split()[0] for line in s.splitlines()] for title, s in sections.items()}
    assert {"sgd", "adagrad", "rmsprop", "adam", "nadam", "adamw"} <= set(names["optimizers"])
    assert {"cosine", "constant", "warmup"} <= set(names["schedules"])
    assert {"plateau", "polyak"} <= set(names["controllers"])
    assert names["tasks"] == lab.task_names()
    assert all(len(line.split()) > 2 for s in sections.values() for line in s.splitlines())


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"], ["list", "--help"]])
def test_help_is_help(capsys, words):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.startswith("usage: adaptax")
    if len(words) == 1:
        words_shown = " ".join(out.split())
        for name, module in COMMANDS.items():
            assert f"{name} {module.HELP}" in words_shown


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"adaptax {adaptax.__version__}\n"


ALONE = """
import sys

for name in ("flax", "rich", "matplotlib", "sklearn"):
    sys.modules[name] = None  # importing it raises ImportError
from adaptax.cli.main import main

sys.exit(main(sys.argv[1:]))
"""


def alone(*words: str, code: str = ALONE) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        timeout=60,
        check=False,
    )


def test_the_list_needs_no_extra_and_a_comparison_says_which():
    listed = alone("list")
    assert listed.returncode == 0 and "digits-lenet5" in listed.stdout, listed.stderr
    refused = alone("compare")
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr == (
        "adaptax: error: the lab needs flax, scikit-learn, rich, matplotlib, not installed; "
        'run: pip install "adaptax[lab]"\n'
    )


def test_a_reader_that_leaves_is_no_error():
    code = "from adaptax.cli.main import main; import sys; sys.exit(main(['list']))"
    script = f'{sys.executable} -c "{code}" | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        timeout=60,
        check=False,
    )
    assert done.stdout == "0\n" and done.stderr == ""
