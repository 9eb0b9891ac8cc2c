"""Adaptive learning rates for JAX: every method a row in one small algebra, exact in any precision.

Everything here speaks Optax's protocol. `import adaptax` touches no device and takes no optional
dependency; `adaptax.flax` and `adaptax.lab` are imported by name.
"""

# 1 the algebra
from adaptax.core.accumulators import Ema as Ema
from adaptax.core.accumulators import Newest as Newest
from adaptax.core.accumulators import Peak as Peak
from adaptax.core.accumulators import Total as Total
from adaptax.core.accumulators import Trace as Trace
from adaptax.core.accumulators import Yogi as Yogi
from adaptax.core.calls import part as part
from adaptax.core.config import from_config as from_config
from adaptax.core.config import to_config as to_config
from adaptax.core.preconditioners import Belief as Belief
from adaptax.core.preconditioners import Deviation as Deviation
from adaptax.core.preconditioners import Infinity as Infinity
from adaptax.core.preconditioners import Rectified as Rectified
from adaptax.core.preconditioners import Rms as Rms
from adaptax.core.readings import Debiased as Debiased
from adaptax.core.readings import Dozat as Dozat
from adaptax.core.readings import Largest as Largest
from adaptax.core.readings import Nesterov as Nesterov
from adaptax.core.readings import Stored as Stored
from adaptax.core.rule import Rule as Rule
from adaptax.core.rule import scale_by_rule as scale_by_rule
from adaptax.core.text import parse as parse
from adaptax.core.transformation import Transformation as Transformation
from adaptax.core.transformation import chain as chain

# 3 the optimizers
from adaptax.optimizers.adadelta import adadelta as adadelta
from adaptax.optimizers.adadelta import scale_by_adadelta as scale_by_adadelta
from adaptax.optimizers.adamax import adamax as adamax
from adaptax.optimizers.adamax import adamaxw as adamaxw
from adaptax.optimizers.decay import add_decayed_weights as add_decayed_weights
from adaptax.optimizers.decay import l1_penalty as l1_penalty
from adaptax.optimizers.decay import l2_penalty as l2_penalty
from adaptax.optimizers.descend import descend as descend
from adaptax.optimizers.family import adabelief as adabelief
from adaptax.optimizers.family import adagrad as adagrad
from adaptax.optimizers.family import adam as adam
from adaptax.optimizers.family import adamw as adamw
from adaptax.optimizers.family import amsgrad as amsgrad
from adaptax.optimizers.family import radam as radam
from adaptax.optimizers.family import rmsprop as rmsprop
from adaptax.optimizers.family import sgd as sgd
from adaptax.optimizers.family import yogi as yogi
from adaptax.optimizers.nadam import nadam as nadam
from adaptax.optimizers.nadam import nadamw as nadamw

# 2 the rate
from adaptax.rates.access import learning_rate as learning_rate
from adaptax.rates.access import learning_rates as learning_rates
from adaptax.rates.access import scale_learning_rate as scale_learning_rate
from adaptax.rates.access import set_learning_rate as set_learning_rate
from adaptax.rates.joins import join as join
from adaptax.rates.joins import piecewise as piecewise
from adaptax.rates.joins import warmup as warmup
from adaptax.rates.joins import warmup_cosine as warmup_cosine
from adaptax.rates.rate import scale_by_rate as scale_by_rate
from adaptax.rates.schedule import Schedule as Schedule
from adaptax.rates.schedules import constant as constant
from adaptax.rates.schedules import cosine as cosine
from adaptax.rates.schedules import exponential as exponential
from adaptax.rates.schedules import inverse_time as inverse_time
from adaptax.rates.schedules import linear as linear
from adaptax.rates.schedules import polynomial as polynomial
from adaptax.rates.schedules import staircase as staircase

# 4 wrappers
from adaptax.wrappers.clip import adaptive_grad_clip as adaptive_grad_clip
from adaptax.wrappers.clip import clip as clip
from adaptax.wrappers.clip import clip_by_global_norm as clip_by_global_norm

__version__ = "0.1.0"
