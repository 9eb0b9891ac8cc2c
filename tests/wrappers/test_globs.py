"""Patterns of paths: what they match, which is the most specific, and errors that name paths."""

import itertools

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptax.core import globs
from tests.conformance import proves

MATCHES = [
    ("**", "", True),
    ("**", "a", True),
    ("**", "a/b/c", True),
    ("*", "", False),
    ("*", "a", True),
    ("*", "a/b", False),
    ("head/**", "head", True),
    ("head/**", "head/kernel", True),
    ("head/**", "heads/kernel", False),
    ("head/*", "head", False),
    ("head/*", "head/a/b", False),
    ("**/bias", "bias", True),
    ("**/bias", "a/b/bias", True),
    ("**/bias", "a/bias/b", False),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/c/d/b", True),
    ("a/**/b", "a/b/c", False),
    ("**/a/**/a/**", "a", False),
    ("**/a/**/a/**", "b/a/a", True),
    ("layers_[0-2]/k*l", "layers_1/kernel", True),
    ("layers_[0-2]/*", "layers_3/kernel", False),
    ("layers_[!0-2]/*", "layers_3/kernel", True),
    ("l?/b", "l1/b", True),
    ("l?/b", "l/b", False),
    ("a[*]", "a*", True),
    ("a[*]", "ab", False),
    ("[[]0]", "[0]", True),
    ("[]]", "]", True),
    ("[!]]", "]", False),
    ("a.b", "axb", False),
    ("A", "a", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), MATCHES)
def test_what_matches(pattern, path, expected):
    globs.check("here", pattern)
    assert globs.matches(pattern, path) is expected


def slow_match(parts, keys):
    """By trying everything: a pattern's keys against a path's."""
    if not parts:
        return not keys
    if parts[0] == "**":
        return any(slow_match(parts[1:], keys[n:]) for n in range(len(keys) + 1))
    return bool(keys) and slow_key(parts[0], keys[0]) and slow_match(parts[1:], keys[1:])


def slow_key(tokens, key):
    """A key's tokens against its characters."""
    if not tokens:
        return not key
    if tokens[0] == "*":
        return any(slow_key(tokens[1:], key[n:]) for n in range(len(key) + 1))
    return bool(key) and slow_character(tokens[0], key[0]) and slow_key(tokens[1:], key[1:])


def slow_character(token, character):
    if token == "?":
        return True
    if len(token) == 1:
        return token == character
    inside, negated = (token[2:-1], True) if token[1] == "!" else (token[1:-1], False)
    if len(inside) == 3 and inside[1] == "-":
        found = inside[0] <= character <= inside[2]
    else:
        found = character in inside
    return found != negated


TOKENS = ["a", "b", "1", "*", "?", "[ab]", "[!a]", "[a-b]", "[!0-1]", "[*]", "[?]", "[[]", "[]]"]
# two stars beside each other are no pattern within a key
KEY = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4).filter(
    lambda tokens: ("*", "*") not in set(itertools.pairwise(tokens))
)
PARTS = st.lists(st.one_of(st.just("**"), KEY), min_size=1, max_size=4)
PATH = st.lists(st.text("ab01*[]?", min_size=1, max_size=3), max_size=4)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(parts=PARTS, keys=PATH)
def test_matching_equals_trying_everything(parts, keys):
    pattern = "/".join(part if part == "**" else "".join(part) for part in parts)
    globs.check("here", pattern)
    assert globs.matches(pattern, "/".join(keys)) is slow_match(parts, keys)


def drawn_from(parts, data):
    """A path that a pattern matches."""
    keys = []
    for part in parts:
        if part == "**":
            keys += data.draw(PATH)
            continue
        key = ""
        for token in part:
            if token == "*":
                key += data.draw(st.text("ab01", min_size=1, max_size=2))
            else:
                key += data.draw(
                    st.sampled_from([c for c in "ab01*[]?" if slow_character(token, c)])
                )
        keys.append(key)
    return keys


@settings(max_examples=300, deadline=None, derandomize=True)
@given(parts=PARTS, data=st.data())
def test_a_path_made_from_a_pattern_matches_it(parts, data):
    pattern = "/".join(part if part == "**" else "".join(part) for part in parts)
    assert globs.matches(pattern, "/".join(drawn_from(parts, data)))


def test_many_wildcards_take_no_time():
    assert not globs.matches("/".join(["**", "a*"] * 30), "/".join(["a"] * 29 + ["b"] * 30))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "empty key"),
        ("/a", "empty key"),
        ("a//b", "empty key"),
        ("a/", "empty key"),
        ("a**/b", "'a**'; '**' stands for whole keys"),
        ("***", "'***'"),
        ("a[b", "open '['"),
        ("a[/]", "open '['"),
        ("[!]", "open '['"),
        ("[]", "open '['"),
        (3, "must be text"),
        (None, "must be text"),
    ],
)
def test_bad_patterns(pattern, message):
    with pytest.raises((TypeError, ValueError)) as error:
        globs.check("by_path", pattern)
    assert message in str(error.value) and str(error.value).startswith("by_path: the pattern")


# each list from the most specific pattern to the least; all match encoder/layers_10/kernel
ORDERS = [
    ["encoder/layers_10/kernel", "encoder/**/kernel", "encoder/layers_10*/*", "encoder/**", "**"],
    ["encoder/layers_10/**", "encoder/layers_1[0-9]/**", "encoder/layers_1*/**", "encoder/*/**"],
    ["encoder/layers_[0-9]?/*", "encoder/layers_*/*", "encoder/layers_*/**"],
    ["**/layers_10/**", "*/layers_1*/kerne?"],
    ["e*/l*/*", "encoder*/*/*", "encod*/*/*"],
    ["*/*/*", "*/*/**", "**/**/*", "**"],
]
PATH_OF_ORDERS = "encoder/layers_10/kernel"


@pytest.mark.parametrize("order", ORDERS)
def test_the_most_specific_pattern_wins(order):
    for i, first in enumerate(order):
        for second in order[i + 1 :]:
            for patterns in ((first, second), (second, first)):
                assert globs.assign("here", patterns, (PATH_OF_ORDERS,)) == (first,)


def test_a_whole_key_counts_more_than_parts_of_keys():
    assert globs.rank("**/bias") > globs.rank("enc*/k*/b*") > globs.rank("*/*/*") > globs.rank("**")
    assert globs.rank("a/[*]") == globs.rank("a/[?]")


def lines(error):
    return str(error.value).splitlines()


@proves("P31", row="patterns")
def test_errors_name_paths_and_what_is_nearest():
    paths = ("encoder/a/kernel", "encoder/a/bias", "head/kernel")
    with pytest.raises(ValueError) as error:
        globs.assign("by_path", ("encoder/**", "hed/**"), paths)
    assert lines(error) == [
        "by_path: no pattern matches 1 parameter; write one, such as '**' for all that no other "
        "matches:",
        "  head/kernel (nearest: hed/**, encoder/**)",
    ]
    with pytest.raises(ValueError) as error:
        globs.assign("by_path", ("encoder/**", "hed/**", "**"), paths)
    assert "none of 3 parameters matches 1 pattern" in lines(error)[0]
    assert lines(error)[1].startswith("  'hed/**' (nearest: head/kernel, ")
    with pytest.raises(ValueError) as error:
        globs.assign("by_path", ("encoder/**", "**/bias", "head/*"), paths)
    assert "several equally specific patterns match 1 parameter" in lines(error)[0]
    assert lines(error)[1:] == ["  encoder/a/bias: '**/bias' and 'encoder/**'"]


def test_long_lists_are_cut():
    paths = tuple(f"layers/{i}/kernel" for i in range(25))
    for patterns, first in ((("head/**",), "layers/0/kernel"), (("layers/*/*", "*/*/kernel"), "")):
        with pytest.raises(ValueError) as error:
            globs.assign("by_path", patterns, paths)
        assert len(lines(error)) == 12 and lines(error)[-1] == "  and 15 more"
        assert "25 parameters" in lines(error)[0] and first in lines(error)[1]


def test_paths_of_trees():
    tree = {"b": [jnp.ones(1), {"c": jnp.ones(1)}], "a/x": {"~": jnp.ones(1)}, "n": None}
    assert globs.paths(tree) == ("a/x/~", "b/0", "b/1/c")
    assert globs.paths(jnp.ones(1)) == ("",) and globs.paths({}) == ()
    assert globs.paths(jax.ShapeDtypeStruct((1,), "float32")) == ("",)
    with pytest.raises(ValueError, match=r"\(the tree itself\)"):
        globs.assign("by_path", ("a",), ("",))


class TestLibraries:
    """What the paths look like there, the same for init and update."""

    def test_nnx(self):
        nnx = pytest.importorskip("flax.nnx")

        class Model(nnx.Module):
            def __init__(self):
                self.layers = nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)])

        state = nnx.state(Model(), nnx.Param)
        names = tuple(f"layers/{i}/{name}" for i in range(2) for name in ("bias", "kernel"))
        assert globs.paths(state) == globs.paths(nnx.as_pure(state)) == names
        assert globs.paths(nnx.to_pure_dict(state)) == names

    def test_linen(self):
        nn = pytest.importorskip("flax.linen")

        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(2)(nn.Dense(2)(x))

        variables = Model().init(jax.random.key(0), jnp.ones((1, 2)))
        names = [f"params/Dense_{i}/{name}" for i in range(2) for name in ("bias", "kernel")]
        assert list(globs.paths(variables)) == names

    def test_equinox(self):
        eqx = pytest.importorskip("equinox")
        model = eqx.nn.MLP(2, 2, width_size=2, depth=1, key=jax.random.key(0))
        names = [f"layers/{i}/{name}" for i in range(2) for name in ("weight", "bias")]
        assert list(globs.paths(eqx.filter(model, eqx.is_inexact_array))) == names
