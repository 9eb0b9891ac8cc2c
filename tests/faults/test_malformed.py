"""Text, configs and files that are damaged or hostile: our own errors, and no more memory than the
file has bytes for. There is no reader of IDX files (MNIST) here, and nothing that unpickles."""

import copy
import dataclasses
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import LINE

import adaptax
from adaptax.core import files, registry
from adaptax.lab import cifar10, tuning
from adaptax.lab import study as studies
from adaptax.lab.results import Comparison, Entry, Run, Setting
from adaptax.lab.sweeps import Entry as Swept
from adaptax.lab.sweeps import Sweeps
from adaptax.lab.trials import result
from adaptax.tuning.halving import Rung
from adaptax.tuning.swept import Sweep, Trial

OURS = (ValueError, TypeError, OSError)
QUICK = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = [
    name
    for kind in ("optimizer", "transformation", "schedule", "controller")
    for name in registry.names(kind)
]

JUNK = st.sampled_from(
    [None, [], {}, "", "x\x1b[31m\n", "NaN", "-Infinity", -1, 0, 1, 2.5, 1e308, 10**30, 10**400,
     True, [1], [[1]], {"a": 1}, "x" * 300]
).map(copy.deepcopy)  # fmt: skip


@st.composite
def damaged(draw, base):
    """The JSON value with one or two places changed, removed or added."""
    value = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 2))):
        node, key = None, None
        here = value
        for _ in range(draw(st.integers(1, 6))):
            keys = sorted(here) if isinstance(here, dict) else range(len(here))
            if not isinstance(here, dict | list) or not keys:
                break
            node, key = here, draw(st.sampled_from(list(keys)))
            here = node[key]
            if not isinstance(here, dict | list):
                break
        if node is None:
            continue
        match draw(st.integers(0, 3)):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[draw(st.sampled_from(["more", "\x1b[2J"]))] = draw(JUNK)
            case _:
                node[key] = draw(JUNK)
    return value


def a_run(seed, diverged=False):
    losses = (2.0, 1.0) if diverged else (2.0, 1.0, 0.5, 0.25)
    steps = (0, 2) if diverged else (0, 2, 4)
    return Run(
        "adam", seed, 1.5, 2 if diverged else None, losses, steps, (0.5,) * len(steps),
        (0.1,) * len(steps),
    )  # fmt: skip


COMPARISON = Comparison(
    task=Setting("t", "d", "accuracy", True, True, 0.9, 2, 5, 10, 4, None),
    optimizers=(Entry("adam", "adam(0.1)", "0.1", 10, 80, 0.5),),
    seeds=(0, 1, 2),
    runs=(a_run(0), a_run(1), a_run(2, diverged=True)),
    versions={"jax": "0"},
    device={"count": 1},
    created="2026",
)
SWEEP = Sweep(
    "adam", "validation loss", (0.01, 0.1), (0,), 20,
    (Trial(0.01, 0, 1.0, 20, None, 20, (2.0, 1.0)), Trial(0.1, 0, np.inf, 20, 3, 3, (2.0,))),
    (Rung(20, 2),), 10, True, "they fit", 40, 1.0, 0.5,
)  # fmt: skip
SWEEPS = Sweeps("t", "d", 1, 2, None, None, (Swept("a", "c", SWEEP),), 1, {}, {}, "now")


def read_or_refuse(kind, path):
    """What is read can be shown; what is not is refused with the name of the file."""
    try:
        found = kind.load(path)
    except OURS as error:
        assert path.name in str(error) and "\x1b" not in str(error) and len(str(error)) < 1000
        return False
    assert "\x1b" not in found.table()
    found.to_json()
    return True


@pytest.mark.parametrize("value", [COMPARISON, SWEEPS], ids=["comparison", "sweeps"])
def test_damaged_results_are_read_or_refused(value, tmp_path):
    path, base, read = tmp_path / "results.json", json.loads(value.to_json()), []

    @QUICK
    @given(damaged(base))
    def run(content):
        path.write_text(json.dumps(content))
        read.append(read_or_refuse(type(value), path))

    run()
    assert True in read and False in read


@pytest.mark.parametrize("value", [COMPARISON, SWEEPS], ids=["comparison", "sweeps"])
def test_results_with_a_wrong_byte_or_an_early_end(value, tmp_path):
    path, whole = tmp_path / "results.json", value.to_json().encode()

    @QUICK
    @given(st.integers(0, len(whole) - 1), st.integers(0, 255), st.booleans())
    def run(place, byte, cut):
        path.write_bytes(
            whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :]
        )
        read_or_refuse(type(value), path)

    run()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["task"].update(batch_size=0), "task: epochs and batch_size"),
        (lambda c: c["task"].update(target="NaN"), "and a target"),
        (lambda c: c["runs"][0].update(metric=[]), r"runs\[0\]: steps, metric and rates"),
        (lambda c: c["runs"][0].update(steps=[0, 4, 2]), r"runs\[0\].steps: increasing"),
        (lambda c: c["runs"][0].update(losses=[]), r"runs\[0\].steps: increasing"),
        (lambda c: c["runs"][0].update(losses=[1.0] * 9), "must have the same steps"),
        (lambda c: c["optimizers"][0].update(state_bytes=10**400), "beyond 64 bits"),
    ],
    ids=range(7),
)
def test_what_no_comparison_writes_is_refused(change, message, tmp_path):
    content = json.loads(COMPARISON.to_json())
    change(content)
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"results.json'.*{message}"):
        Comparison.load(tmp_path)


def test_a_number_beyond_every_float_is_infinite(tmp_path):
    content = json.loads(COMPARISON.to_json())
    content["runs"][0]["losses"][2:] = [10**400, -(10**400)]
    (tmp_path / "results.json").write_text(json.dumps(content))
    found = Comparison.load(tmp_path)
    assert found.runs[0].losses[2:] == (np.inf, -np.inf) and "nan" in found.table()


@pytest.mark.parametrize("kind", [Comparison, Sweeps])
def test_what_is_no_plain_file_is_refused_without_waiting(kind, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is not a plain file"):
            kind.load(path)


def peak(act):
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_that_is_large_in_name_only_allocates_nothing(tmp_path):
    path = tmp_path / "results.json"
    with open(path, "wb") as file:
        file.truncate(2**40)

    def refuse():
        for kind in (Comparison, Sweeps):
            with pytest.raises(ValueError, match="1,099,511,627,776 bytes; at most"):
                kind.load(path)

    assert peak(refuse) < 2**20


def test_reading_takes_memory_in_proportion_to_the_file(tmp_path):
    losses = (0.5,) * 20_000
    run = dataclasses.replace(a_run(0), losses=losses, steps=(0, 2, len(losses)))
    path = dataclasses.replace(COMPARISON, runs=(run,)).save(tmp_path / "results.json")
    assert peak(lambda: Comparison.load(path)) < 40 * path.stat().st_size + 2**18
    with pytest.raises(ValueError, match="at most 10 are read"):
        files.read(path, 10)


CALL = st.recursive(
    st.sampled_from(
        ["0.1", "1", "-1", "1e400", "inf", "nan", "None", "True", "'x'", "'\\x1b'", "[]", "{}",
         "()", "[1,2]", "{'a':1}", "9" * 400, "b'x'", "1j", "lambda: 0", "*x", "**y", "b1=0.9",
         "steps=10", "learning_rate=0.1", "\0", "#", "\n", "0x" + "f" * 5000, "-" * 700 + "1",
         "1" + "+1" * 700, "not " * 700 + "1"]
    ),
    lambda inner: st.builds(
        lambda name, args: f"{name}({', '.join(args)})",
        st.sampled_from([*NAMES, "eval", "open", "__import__", "a.b", "a" + ".b" * 700]),
        st.lists(inner, max_size=4),
    ),
    max_leaves=8,
)  # fmt: skip


def shown_or_refused(make):
    try:
        value = make()
    except (ValueError, TypeError) as error:
        assert len(str(error)) < 2000
        return False
    assert repr(value)
    return True


@settings(QUICK, max_examples=400)
@given(CALL | st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text):
    shown_or_refused(lambda: adaptax.parse(text))


@pytest.mark.parametrize("depth", [100, 700, 5000])
@pytest.mark.parametrize(
    "text",
    ["-{}1", "1{}+1", "sgd({}", "sgd(-{}1)", "a{}.b()", "[{}", "sgd({}sgd(0.1)"],
    ids=range(7),
)
def test_text_nested_however_deep_is_refused(text, depth):
    before, _, after = text.partition("{}")
    unit = {"1": "+1", "a": ".b", "[": "["}.get(before, "-" if "-" in before else "chain(")
    with pytest.raises(ValueError):
        adaptax.parse(before + unit * depth + after)


CONFIG = st.recursive(
    JUNK | st.sampled_from([0.1, 0.9, 10, {"float": "nan"}, {"float": []}, {"dict": [[[], 1]]}]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {
                "name": st.sampled_from([*NAMES, "eval", "", 1]),
                "arguments": st.dictionaries(
                    st.sampled_from(["learning_rate", "b1", "peak", "steps", "inner", "x"]),
                    inner,
                    max_size=3,
                ),
            },
            optional={"positional": inner, "more": inner},
        )
        | st.builds(lambda value: {"tuple": value}, inner)
        | st.builds(lambda value: {"dict": value}, inner)
    ),
    max_leaves=8,
)


@settings(QUICK, max_examples=300)
@given(CONFIG)
def test_any_config_makes_a_value_or_is_refused(config):
    shown_or_refused(lambda: adaptax.from_config(config))


def test_refusals_do_not_repeat_a_megabyte():
    long = "x" * 10**6
    for config in (
        long,
        {long: 1},
        {"name": long, "arguments": {}},
        {"name": "sgd", "arguments": {"learning_rate": long}},
        {"name": "sgd", "arguments": {long: 1}},
    ):
        assert not shown_or_refused(lambda config=config: adaptax.from_config(config))


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """(plan, its storage, the lines of three trials), made without training."""
    path = tmp_path_factory.mktemp("journal") / "trials.log"
    plan = tuning.prepare(LINE, "sgd", trials=3, seeds=1, storage=path)
    with plan.opened() as study:
        for number in range(3):
            trial = study.ask()
            trial.suggest_float("learning_rate", 1e-5, 1.0, log=True)
            trial.report(0.5, 1)
            for name in ("steps", "seconds"):
                trial.set_user_attr(name, number)
            study.tell(trial, 0.5)
    return plan, path, path.read_bytes().splitlines(keepends=True)


def test_a_damaged_journal_is_gone_on_with_or_refused_before_training(journal):
    plan, path, lines = journal
    read = []

    @QUICK
    @given(st.data())
    def run(data):
        at = data.draw(st.integers(0, len(lines) - 1))
        found = list(lines)
        match data.draw(st.integers(0, 4)):
            case 0:
                del found[at]
            case 1:
                found.insert(at, data.draw(st.sampled_from(lines)))
            case 2:
                place = data.draw(st.integers(0, len(found[at]) - 1))
                found[at] = found[at][:place]
            case 3:
                found[at] = data.draw(st.binary(max_size=50)) + b"\n"
            case 4:
                content = data.draw(damaged(json.loads(found[at])))
                found[at] = json.dumps(content).encode() + b"\n"
        path.write_bytes(b"".join(found))
        try:
            with plan.opened() as study:
                [result(plan, trial) for trial in studies.finished(study, plan.space)]
        except OURS as error:
            assert path.name in str(error) and "\x1b" not in str(error), error
            read.append(False)
        else:
            read.append(True)

    run()
    assert True in read and False in read


@pytest.mark.parametrize("content", [b"[" * 10**5, b'"op_code"', b"\xff\x00", b"{}", b"1", b"a\n"])
def test_what_is_no_journal_keeps_every_byte(content, tmp_path):
    path = tmp_path / "mine"
    path.write_bytes(content)
    plan = tuning.prepare(LINE, "sgd", trials=1, seeds=1, storage=path)
    with pytest.raises(ValueError, match="mine' holds something else than trials"), plan.opened():
        pass
    assert path.read_bytes() == content


@settings(QUICK, max_examples=60)
@given(
    size=st.integers(0, 3 * cifar10.RECORD), label=st.integers(0, 255), records=st.integers(1, 3)
)
def test_any_file_is_a_cifar_batch_or_refused_by_its_name(tmp_path, size, label, records):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(bytes([label]) * size)
    fits = size == records * cifar10.RECORD and label < cifar10.CLASSES
    if fits:
        assert len(cifar10.read_batch(path, records).targets) == records
        return
    with pytest.raises(ValueError, match=r"data_batch_1.bin'"):
        cifar10.read_batch(path, records)


@pytest.mark.parametrize("records", [1, 3])
def test_a_cifar_batch_of_the_right_size_with_any_label(records, tmp_path):
    path = tmp_path / "data_batch_1.bin"
    for label in range(0, 256, 5):
        path.write_bytes((bytes([label]) + bytes(cifar10.RECORD - 1)) * records)
        if label < cifar10.CLASSES:
            assert set(cifar10.read_batch(path, records).targets) == {label}
            continue
        with pytest.raises(ValueError, match=f"record 0 has label {label}"):
            cifar10.read_batch(path, records)


def test_reading_a_cifar_batch_takes_what_the_file_has(tmp_path):
    path = tmp_path / "batch.bin"
    path.write_bytes(bytes(200 * cifar10.RECORD))
    size = path.stat().st_size
    assert peak(lambda: cifar10.read_batch(path, 200)) < 3 * size + 2**16

    def refuse():  # however many records are said to be in it
        with pytest.raises(ValueError, match="cut short"):
            cifar10.read_batch(path, 10**12)

    assert peak(refuse) < 2**18
