"""Results as values, JSON, table and picture."""

import dataclasses
import json
import math

import pytest

from adaptax import lab
from adaptax.lab import report
from adaptax.lab.results import Comparison, Entry, Run, Setting

TASK = Setting(
    name="tiny",
    description="a line",
    metric="accuracy",
    percent=True,
    higher_is_better=True,
    target=0.9,
    epochs=2,
    batch_size=5,
    train_examples=10,
    test_examples=4,
    data_dir=None,
)


def a_run(optimizer="adam", seed=0, last=0.95, diverged_at=None, seconds=1.5):
    losses = (2.0, 1.0, 0.5, 0.25)
    if diverged_at is not None:
        losses = (*losses[: diverged_at - 1], math.nan)
    return Run(
        optimizer, seed, seconds, diverged_at, losses, (0, 2, 4), (0.5, 0.9, last), (0.1, 0.1, None)
    )


def a_comparison(**changes):
    base = Comparison(
        task=TASK,
        optimizers=(Entry("adam", "adam(0.1)", "0.1", 10, 80, 0.5),),
        seeds=(0, 1),
        runs=(a_run(), a_run(seed=1, last=0.85)),
        versions={"jax": "0.10"},
        device={"platform": "cpu", "count": 1},
        created="2026-01-01T00:00:00+00:00",
    )
    return dataclasses.replace(base, **changes)


def test_json_round_trip_is_the_same_value(tmp_path):
    found = a_comparison()
    assert Comparison.from_json(found.to_json()) == found
    path = found.save(tmp_path / "results.json")
    assert Comparison.load(path) == Comparison.load(tmp_path) == found


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_valid_json_and_come_back(odd):
    run = dataclasses.replace(a_run(), losses=(1.0, odd, 1.0, 1.0), metric=(0.5, 0.5, odd))
    text = a_comparison(runs=(run,)).to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    back = Comparison.from_json(text)
    assert repr(back.runs[0].losses) == repr(run.losses)
    assert back.to_json() == text


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    odd = a_comparison(task=dataclasses.replace(TASK, data_dir="/data/\udcff"))
    path = odd.save(tmp_path / "results.json")
    assert Comparison.load(path).task.data_dir == "/data/\udcff"


def spoil(change):
    content = json.loads(a_comparison().to_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is no comparison"),
        ('{"format": "other/1"}', "is no comparison of format"),
        (spoil(lambda c: c.pop("runs")), "missing or unknown runs"),
        (spoil(lambda c: c.update(extra=1)), "missing or unknown extra"),
        (spoil(lambda c: c["task"].update(epochs="2")), r"task.epochs is '2', expected int"),
        (spoil(lambda c: c["task"].update(percent=1)), "task.percent is 1, expected bool"),
        (spoil(lambda c: c["runs"][1].update(losses=[0.5, "x"])), r"runs\[1\].losses\[1\] is 'x'"),
        (spoil(lambda c: c["runs"].append(None)), r"runs\[2\] is no Run"),
        (spoil(lambda c: c.update(seeds=3)), "seeds is 3"),
    ],
)
def test_what_is_no_results_file_is_refused(tmp_path, content, message):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        Comparison.load(path)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Comparison.load(tmp_path / "none.json")
    (tmp_path / "results.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not UTF-8"):
        Comparison.load(tmp_path)


def test_a_row_says_what_the_runs_found():
    row = next(line for line in a_comparison().table().splitlines() if line.startswith(" adam"))
    assert row.split() == [
        "adam", "0.1", "90.00", "±", "7.07", "%", "0.375", "2", "1.50", "8.0",
    ]  # fmt: skip


def test_the_summary_of_several_runs():
    runs = (a_run(), a_run(seed=1, last=0.85), a_run(seed=2, diverged_at=3, seconds=0.3))
    found = report.summary(dataclasses.replace(TASK, target=0.92), runs)
    assert found.finals == (0.95, 0.85) and found.reached == (4, None) and found.diverged == (3,)
    assert found.loss == 0.375 and found.seconds == pytest.approx(1.1)


def test_a_lower_metric_may_be_the_better():
    task = dataclasses.replace(TASK, higher_is_better=False, target=0.6)
    assert report.summary(task, (a_run(),)).reached == (0,)


def test_the_table_of_partly_diverged_and_partly_reached_runs():
    task = dataclasses.replace(TASK, target=0.92)
    runs = (a_run(), a_run(seed=1, last=0.85), a_run(seed=2, diverged_at=3))
    shown = a_comparison(task=task, runs=runs, seeds=(0, 1, 2)).table()
    for part in ("diverged at step 3", "(1 of 3 runs)", "92 %", "4 (1 of 2)"):
        assert part in shown, part


def test_one_seed_has_no_spread():
    shown = a_comparison(runs=(a_run(),), seeds=(0,)).table()
    assert "95.00 %" in shown and "±" not in shown


def test_a_narrow_table_keeps_within_its_width():
    long = a_comparison(
        optimizers=(Entry("adamw(b1=0.8, b2=0.99, weight_decay=0.01)", None, "0.1"),)
    )
    for width in (70, 80, 120):
        shown = long.table(width).splitlines()
        assert max(map(len, shown)) <= width
        assert "".join(line[:10].strip() for line in shown).count("adamw") == 1


HOSTILE = "[bold red]x[/] $\\frac{a}{$ \x1b[31m\n\u202e_y 日本"


def hostile():
    entry = Entry("_" + HOSTILE, None, HOSTILE)
    return a_comparison(
        optimizers=(entry,),
        task=dataclasses.replace(TASK, name=HOSTILE, description=HOSTILE, metric="$x"),
        runs=(dataclasses.replace(a_run(), optimizer=entry.label),),
    )


def test_text_from_users_is_shown_as_it_is_and_moves_no_cursor():
    shown = hostile().table()
    assert "[bold red]x[/]" in shown
    assert "\x1b" not in shown and "\u202e" not in shown and "\\x1b[31m\\n\\u202e" in shown


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_any_label_can_be_drawn(tmp_path, ending):
    path = hostile().plot(tmp_path / f"curves.{ending}")
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)


def test_the_picture_of_many_and_of_diverged_and_of_no_runs(tmp_path):
    many = tuple(Entry(f"optimizer {i}", None, "-") for i in range(20))
    runs = tuple(a_run(entry.label, last=0.9 + i / 300) for i, entry in enumerate(many))
    a_comparison(optimizers=many, runs=runs).plot(tmp_path / "many.png")
    a_comparison(runs=(a_run(diverged_at=1), a_run(seed=1))).plot(tmp_path / "diverged.png")
    a_comparison(runs=()).plot(tmp_path / "none.png")
    assert len({p.read_bytes() for p in tmp_path.iterdir()}) == 3


def test_the_ending_of_a_picture_is_checked(tmp_path):
    with pytest.raises(ValueError, match=r"curves.exe'\): the ending must be one of"):
        a_comparison().plot(tmp_path / "curves.exe")


def test_progress_on_a_terminal_shows_loss_metric_and_rate():
    import io

    stream = io.StringIO()
    stream.isatty = lambda: True
    bars = lab.Bars(stream)
    bars._display.console.width = 120
    with bars:
        bars.begin(["a[red]m"], 1, 10, lab.task("digits-mlp").metric)
        bars.optimizer("a[red]m")
        bars.run("a[red]m", 4)
        bars.step(5, 0.123, 0.01)
        bars.evaluated(5, 0.875)
        bars._display.refresh()
        bars.finished("done")
    shown = stream.getvalue()
    for part in ("a[red]m", "seed 4", "loss 0.123", "rate 0.01", "accuracy 87.50 %", "done"):
        assert part in shown, part
