"""From the losses of range tests to what they recommend, with the reason."""

import math

import numpy as np

from adaptax.tuning import rules
from adaptax.tuning.result import RateTest


def judged(rates: np.ndarray, losses: np.ndarray) -> RateTest:
    """The result of range tests.

    Args:
      rates: float[steps], increasing.
      losses: float[repeats, steps]; NaN after a repeat has ended.
    """
    ends = [rules.diverged_at(each) for each in losses]
    cuts = [len(rates) if end is None else end for end in ends]
    end = min(cuts)
    mean = losses[:, :end].mean(axis=0)
    smoothed = rules.smooth(mean)
    said = rules.suggestions(rates[:end], smoothed)
    verdict = rules.verdict(mean, smoothed, end < len(rates))
    if not np.isfinite(losses[:, 0]).all():
        verdict = rules.NOT_FINITE
    own = [
        rules.minimum(rates[:cut], rules.smooth(each[:cut]))
        for each, cut in zip(losses, cuts, strict=True)
        if cut
    ]
    supported = verdict in (rules.FOUND, rules.FALLING) and len(own) == len(losses)
    chosen = math.exp(float(np.mean(np.log(own)))) if supported else None
    return RateTest(
        recommended=chosen,
        interval=(min(own), max(own)) if supported else None,
        verdict=verdict,
        reason=_reason(verdict, rates, losses[:, 0], end),
        suggestions=said,
        rates=tuple(map(float, rates)),
        losses=tuple(tuple(map(float, each)) for each in losses),
        smoothed=tuple(map(float, smoothed)),
        diverged_at=float(rates[end]) if end < len(rates) else None,
    )


def _reason(verdict: str, rates: np.ndarray, first: np.ndarray, end: int) -> str:
    low, high = f"{rates[0]:.3g}", f"{rates[-1]:.3g}"
    wrong = first[~np.isfinite(first)]
    return {
        rules.FOUND: "a tenth of the rate with the lowest smoothed loss, averaged over the "
        "repeats; right to a factor of a few. Give horizon= for a rate that fits the length of "
        "the training",
        rules.FALLING: f"the loss was still falling at the largest rate, {high}; raise high to see "
        "where it turns",
        rules.FLAT: f"the loss hardly changes from {low} to {high}; raise high, or look whether "
        "the gradients are zero",
        rules.NOISE: "the loss does not fall by more than its own noise; take larger batches, more "
        "steps or more repeats",
        rules.DIVERGES: "the loss did not fall before it diverged at "
        f"{rates[min(end, len(rates) - 1)]:.3g}; take a low below {low}, or scale inputs and "
        "initial weights down",
        rules.NOT_FINITE: f"the loss of the first batch is {wrong[0] if wrong.size else 0:g} at "
        f"rate {low}, before any step was made: no rate can help; look for the cause in model and "
        "data",
    }[verdict]
