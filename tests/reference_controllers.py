"""Controllers as plain Python state machines in float64: the library is judged by these.

Each is a class with `step(base, value=…)` (or gradients, directions and weights as lists of
floats) that gives the rate of one update. Nothing is imported from the library.
"""

import math


def _measured(loss):
    return not math.isnan(loss) and loss != -math.inf


class Plateau:
    """`torch.optim.lr_scheduler.ReduceLROnPlateau.step`, relative to |best|, with a window."""

    def __init__(self, factor, patience, threshold, threshold_mode, mode, cooldown, floor, window):
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.relative, self.sign = threshold_mode == "rel", 1.0 if mode == "min" else -1.0
        self.wait, self.floor, self.window = cooldown, floor, window
        self.best, self.bad, self.cooldown, self.multiplier = math.inf, 0, 0, 1.0
        self.pending = []

    def step(self, base, value):
        loss = self.sign * value
        if _measured(loss):
            self.pending.append(loss)
            if len(self.pending) == self.window:
                self._judge(sum(x / self.window for x in self.pending))
                self.pending = []
        return max(base * self.multiplier, min(self.floor, base))

    def _judge(self, loss):
        if math.isinf(self.best):
            better = loss < self.best
        elif self.relative:
            better = loss < self.best - self.threshold * abs(self.best)
        else:
            better = loss < self.best - self.threshold
        if better:
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        if self.cooldown > 0:
            self.cooldown -= 1
            self.bad = 0
        if self.bad > self.patience:
            self.multiplier *= self.factor
            self.cooldown, self.bad = self.wait, 0


class BestOrBackOff:
    """The rate is multiplied whenever the metric is not better than the best so far."""

    def __init__(self, factor, mode, floor):
        self.factor, self.sign, self.floor = factor, 1.0 if mode == "min" else -1.0, floor
        self.best, self.multiplier = math.inf, 1.0

    def step(self, base, value):
        loss = self.sign * value
        if _measured(loss):
            if loss < self.best:
                self.best = loss
            else:
                self.multiplier *= self.factor
        return max(base * self.multiplier, min(self.floor, base))


class BoldDriver:
    """Up after a loss that is no larger than the one before, down after a larger or infinite one.

    The factor stays between floor/base and ceiling/base.
    """

    def __init__(self, up, down, floor, ceiling):
        self.up, self.down, self.floor, self.ceiling = up, down, floor, ceiling
        self.previous, self.multiplier = None, 1.0

    def step(self, base, value):
        top = math.inf if self.ceiling is None else self.ceiling
        if _measured(value):
            if math.isinf(value):
                self._turn(self.down, base, top)
            elif self.previous is not None and not math.isinf(self.previous):
                self._turn(self.down if value > self.previous else self.up, base, top)
            self.previous = value
        return min(max(base * self.multiplier, min(self.floor, base)), top)

    def _turn(self, by, base, top):
        low = min(self.floor / base, 1.0)
        self.multiplier = min(max(self.multiplier * by, low), top / base)


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


class Hypergradient:
    """arXiv 1703.04782: the rate moves along <gradient, previous direction>."""

    def __init__(self, beta, rule, floor, ceiling):
        self.beta, self.additive, self.floor = beta, rule == "additive", floor
        self.ceiling = math.inf if ceiling is None else ceiling
        self.change, self.direction = (0.0 if self.additive else 1.0), None

    def step(self, base, gradient, direction):
        if self.direction is not None:
            slope = _dot(gradient, self.direction)
            if self.additive:
                self.change += self.beta * slope
            else:
                size = math.sqrt(_dot(gradient, gradient) * _dot(self.direction, self.direction))
                self.change *= 1 + self.beta * (slope / size if size else 0.0)
        self.direction = list(direction)
        low = min(self.floor, base)
        rate = base + self.change if self.additive else base * self.change
        rate = min(max(rate, low), self.ceiling)
        self.change = rate - base if self.additive else rate / base
        return rate


def polyak(base, c, lower_bound, value, gradient, direction):
    """SPS_max, arXiv 2002.10542, with <gradient, direction> for the squared norm."""
    slope = _dot(gradient, direction)
    if slope <= 0:
        return base if slope == 0 else 0.0
    return min(max(value - lower_bound, 0.0) / (c * slope), base)


def update_ratio(base, eps, weights, direction):
    """base · max(rms floor, ‖weights‖)/‖direction‖; 0 where there is no direction."""
    size = math.sqrt(_dot(direction, direction))
    weight = max(math.sqrt(_dot(weights, weights)), eps * math.sqrt(len(weights)))
    return base * weight / size if size else 0.0
