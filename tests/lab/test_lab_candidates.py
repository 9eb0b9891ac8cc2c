"""From names, calls and values to optimizers with a rate."""

import optax
import pytest
from experiments import TINY

import adaptax
from adaptax.lab.candidates import DEFAULT, apart, candidates
from adaptax.lab.tasks import TASKS


def only(optimizers, learning_rate=None):
    (found,) = candidates(TINY, optimizers, learning_rate)
    return found


def test_a_name_takes_the_tasks_rate():
    found = only("sgd")
    assert (found.label, found.rate) == ("sgd", "0.1")
    assert found.transformation == adaptax.sgd(0.1) and found.call == repr(adaptax.sgd(0.1))


def test_a_call_without_a_rate_takes_the_tasks_and_keeps_its_arguments():
    assert only("adam(b1=0.8)").transformation == adaptax.adam(0.01, b1=0.8)


@pytest.mark.parametrize("given", ["adam(0.5)", "adam(learning_rate=0.5)"])
def test_a_rate_in_the_call_wins(given):
    found = only(given, learning_rate=0.25)
    assert found.transformation == adaptax.adam(0.5) and found.rate == "0.5"
    assert found.label == given


@pytest.mark.parametrize("rate", [0.25, "0.25", "2.5e-1"])
def test_the_common_rate_serves_all_named_without_one(rate):
    found = candidates(TINY, ["sgd", "yogi"], rate)
    assert [each.transformation for each in found] == [adaptax.sgd(0.25), adaptax.yogi(0.25)]


def test_the_default_set_has_a_rate_in_every_task():
    for task in TASKS.values():
        assert [each.label for each in candidates(task, None, None)] == list(DEFAULT)


def test_every_optimizer_has_a_rate_in_every_task():
    from adaptax.core import registry

    for task in TASKS.values():
        assert set(task.rates) == set(registry.names("optimizer")), task.name


def test_several_in_one_text():
    assert apart("adam sgd") == ["adam", "sgd"]
    assert apart(" adam(0.1, b1=0.8),sgd ") == ["adam(0.1, b1=0.8)", "sgd"]
    assert apart("adam(mu_dtype='a b)') sgd") == ["adam(mu_dtype='a b)')", "sgd"]
    assert [each.label for each in candidates(TINY, "adam, sgd", None)] == ["adam", "sgd"]


def test_values_are_used_as_they_are():
    mine = adaptax.adamw(0.5, weight_decay=0.25)
    found = only(mine)
    assert found.transformation is mine and found.label == "adamw" and found.rate == "0.5"


def test_values_of_one_name_are_told_apart_by_their_call():
    two = candidates(TINY, [adaptax.adam(0.5), adaptax.adam(0.25), adaptax.sgd(1.0)], None)
    assert [each.label for each in two] == [
        repr(adaptax.adam(0.5)),
        repr(adaptax.adam(0.25)),
        "sgd",
    ]


def test_optax_enters_by_a_dict():
    theirs = optax.sgd(0.1)
    found = candidates(TINY, {"theirs": theirs, "ours": "sgd(0.1)"}, None)
    assert [each.label for each in found] == ["theirs", "ours"]
    assert found[0].transformation is theirs and found[0].call is None and found[0].rate == "-"


def test_a_chain_of_calls():
    found = only("chain(clip(1.0), adam(0.5))")
    assert found.transformation == adaptax.chain(adaptax.clip(1.0), adaptax.adam(0.5))


@pytest.mark.parametrize(
    ("optimizers", "rate", "kind", "message"),
    [
        ("adma", None, ValueError, "unknown optimizer 'adma' in .*; did you .*'adam'"),
        ("adam(eps_rot=1)", None, TypeError, "has no argument 'eps_rot'; did you .*'eps_root'"),
        ("adam(-1.0)", None, ValueError, "learning_rate=-1.0"),
        ("adam(", None, ValueError, "does not read as a call"),
        ("__import__('os')", None, ValueError, "unknown optimizer '__import__'"),
        ("yogi", None, ValueError, "no default rate for 'yogi'.*--learning-rate"),
        ("constant(0.1)", None, ValueError, "unknown optimizer 'constant'"),
        ("sgd sgd", None, ValueError, "'sgd.*comes twice"),
        ([], None, ValueError, "at least one"),
        ("", None, ValueError, "at least one"),
        ([3], None, TypeError, "3 is no optimizer"),
        ([adaptax.sgd], None, TypeError, "is no optimizer"),
        ([optax.sgd(0.1)], None, TypeError, "has no name"),
        ("adam", "fast", ValueError, "learning_rate='fast': unknown name"),
        ("adam", "adam(0.1)", ValueError, "a schedule such as 'cosine"),
        ("adam", "nan", ValueError, "learning_rate=nan"),
        ("adam", -1.0, ValueError, "learning_rate=-1.0"),
    ],
)
def test_what_is_refused(optimizers, rate, kind, message):
    with pytest.raises(kind, match=message):
        candidates(TINY, optimizers, rate)
