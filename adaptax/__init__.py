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
from adaptax.rates.arithmetic import function as function
from adaptax.rates.arithmetic import product_of as product_of
from adaptax.rates.arithmetic import sum_of as sum_of
from adaptax.rates.batch_size import scaled_for_batch as scaled_for_batch
from adaptax.rates.control import Controller as Controller
from adaptax.rates.controllers import best_or_back_off as best_or_back_off
from adaptax.rates.controllers import bold_driver as bold_driver
from adaptax.rates.controllers import plateau as plateau
from adaptax.rates.cycles import cosine_restarts as cosine_restarts
from adaptax.rates.cycles import exp_range as exp_range
from adaptax.rates.cycles import triangular as triangular
from adaptax.rates.cycles import triangular2 as triangular2
from adaptax.rates.gradient_controllers import hypergradient as hypergradient
from adaptax.rates.gradient_controllers import polyak as polyak
from adaptax.rates.gradient_controllers import update_ratio as update_ratio
from adaptax.rates.joins import join as join
from adaptax.rates.joins import piecewise as piecewise
from adaptax.rates.one_cycle import one_cycle as one_cycle
from adaptax.rates.one_cycle import one_cycle_momentum as one_cycle_momentum
from adaptax.rates.rate import scale_by_rate as scale_by_rate
from adaptax.rates.schedule import Schedule as Schedule
from adaptax.rates.schedules import constant as constant
from adaptax.rates.schedules import cosine as cosine
from adaptax.rates.schedules import exponential as exponential
from adaptax.rates.schedules import inverse_time as inverse_time
from adaptax.rates.schedules import linear as linear
from adaptax.rates.schedules import polynomial as polynomial
from adaptax.rates.schedules import rex as rex
from adaptax.rates.schedules import staircase as staircase
from adaptax.rates.units import RunLength as RunLength
from adaptax.rates.warmups import inverse_sqrt as inverse_sqrt
from adaptax.rates.warmups import power_decay as power_decay
from adaptax.rates.warmups import warmup as warmup
from adaptax.rates.warmups import warmup_cosine as warmup_cosine
from adaptax.rates.warmups import wsd as wsd

# 6 tuning
from adaptax.tuning.finder import find_learning_rate as find_learning_rate
from adaptax.tuning.result import RateTest as RateTest
from adaptax.tuning.sweep import sweep as sweep
from adaptax.tuning.swept import Sweep as Sweep

# 4 wrappers
from adaptax.wrappers.accumulate import accumulate as accumulate
from adaptax.wrappers.average import ema_weights as ema_weights
from adaptax.wrappers.average import swa as swa
from adaptax.wrappers.clip import adaptive_grad_clip as adaptive_grad_clip
from adaptax.wrappers.clip import clip as clip
from adaptax.wrappers.clip import clip_by_global_norm as clip_by_global_norm
from adaptax.wrappers.evaluation import evaluation_params as evaluation_params
from adaptax.wrappers.groups import by_path as by_path
from adaptax.wrappers.groups import frozen_until as frozen_until
from adaptax.wrappers.groups import gradual_unfreezing as gradual_unfreezing
from adaptax.wrappers.groups import group_labels as group_labels
from adaptax.wrappers.guard import guard as guard
from adaptax.wrappers.health import check_health as check_health
from adaptax.wrappers.health import clear_halted as clear_halted
from adaptax.wrappers.health import guard_report as guard_report
from adaptax.wrappers.health import loss_scale_of as loss_scale_of
from adaptax.wrappers.layers import layerwise_decay as layerwise_decay
from adaptax.wrappers.lookahead import lookahead as lookahead
from adaptax.wrappers.loss_scale import loss_scale as loss_scale
from adaptax.wrappers.spikes import clip_by_average_norm as clip_by_average_norm
from adaptax.wrappers.spikes import clip_by_zscore as clip_by_zscore

__version__ = "0.1.0"
