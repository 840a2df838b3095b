"""Named tuples of arrays that only training needs; see engine/kernels/structures.py.

Shapes, besides those there: K lanes of samples, G samples of a group, Z slots for
groups (backward.py), W the widest stride, I the most sources of a layer.
"""

from typing import Any, NamedTuple

import numpy as np

from spikejoule.compiling import compiled_inline
from spikejoule.engine.kernels.structures import (
    Array,
    ConstantInputs,
    NetworkArrays,
    NeuronConstants,
    Real,
    Rows,
    Spikes,
)
from spikejoule.network.readout import Readout


class Surrogate(NamedTuple):
    """A surrogate derivative (network/surrogates).

    Attributes:
        code: its number in through_time.SURROGATE_CODES.
        a, b: its constants, real.
    """

    code: int
    a: Real
    b: Real


READOUT_CODES = {readout: code for code, readout in enumerate(Readout)}
"""The number of each readout in kernels."""

SPIKES_READ = READOUT_CODES[Readout.SPIKES]


LAST_READ = READOUT_CODES[Readout.POTENTIAL]


class Learning(NamedTuple):
    """The loss of a batch and the surrogate derivative.

    The loss is the mean cross-entropy of softmax(logit_scale * scores), plus the spike
    penalties (deltas.py).

    Attributes:
        readout: what the scores are, a code of READOUT_CODES.
        logit_scale: factor on the scores, float.
        penalised: whether any spike has a penalty.
        penalties: for each layer the penalty of a spike above a target, and that
            target, float64 [L, 2].
        surrogate, a, b: the fields of :class:`Surrogate`.
    """

    readout: int
    logit_scale: float
    penalised: bool
    penalties: Array
    surrogate: int
    a: Real
    b: Real


class Sampling(NamedTuple):
    """Which deltas of hidden layers travel back to the layer before (sampling.py).

    Attributes:
        scales: a delta of this size or more is kept, a smaller one with the
            probability |delta| / scale, real [L]; empty if all deltas are kept.
        key: of the random numbers, uint64.
    """

    scales: Array
    key: Any


class LabelledBatch(NamedTuple):
    """A batch of samples with labels, and its division into lanes.

    Attributes:
        sources, offsets: the input as :class:`Spikes`, one row per (sample, step).
        labels: int64 [S].
        targets: target probability of each class, float64 [rows, classes].
        target_rows: row of `targets` that each sample uses, int64 [S].
        bounds: lane k has samples ``bounds[k]`` to ``bounds[k + 1]``, int64 [K + 1].
    """

    sources: Array
    offsets: Array
    labels: Array
    targets: Array
    target_rows: Array
    bounds: Array


class BatchGradient(NamedTuple):
    """Results of a batch, for C chunks of rows.

    Attributes:
        gradients: gradient of each lane, real [K, P]; zero in untouched rows.
        touched: rows that a lane changed, bool [K, R].
        squares: sum of the squared gradient in each chunk of rows, float64 [C].
        losses: sum over the samples of each lane, float64 [K].
        counts: int64 [parts, ...], one row per part of the batch (a lane or a slot):
            correctly classified samples, then spikes of each layer (the input first),
            then synaptic events of each connection, recurrent ones included, then kept
            deltas of each layer (0 unless they are sampled), then weights of each
            connection that the spikes of a sample reach, summed over samples.
    """

    gradients: Array
    touched: Array
    squares: Array
    losses: Array
    counts: Array


class BackwardArrays(NamedTuple):
    """What the backward pass of fully connected layers reads besides the network.

    Attributes:
        transposed: weights of all layers but the first as [unit, source], real, flat.
        fan_outs: synapses that a spike of each row's source reaches, int64 [R].
        learned_start: first learned parameter of the first layer's neurons; -1 if
            neurons learn none.
        learned_row: row of these parameters; each layer has one (deltas.py).
    """

    transposed: Array
    fan_outs: Array
    learned_start: int
    learned_row: int


class Workspace(NamedTuple):
    """Scratch memory for one batch; nothing in it is kept for the next.

    It has Z slots, each for one group of samples at a time (backward.py). Within a
    slot, the deltas and spikes of the group's samples follow one another.

    Attributes:
        deltas: dL/dv, real [Z, L, G * T * W].
        sources: spikes of each layer, of the input's type, [Z, L, G * T * W +
            SPARE_SPIKES].
        offsets: start of each row of `sources`, int64 [Z, L, G * T + 1].
        steps, active, firsts, n_active: the spikes into each layer, regrouped as
            :class:`BySource`; uint32 [Z, L, most spikes of a group], uint32
            [Z, L, I + 1], uint32 [Z, L, I + 1], int64 [Z, L].
        bias_gradients: bias gradient of each sample, real [Z, L, G * W].
        learned: gradients of each sample for the learned neuron parameters, float64
            [Z, G, L, 2].
        losses: of each sample, float64 [Z, G].
        potentials: v before the reset of one sample, real [Z, L, T * W]. Allocated only
            if neurons learn; otherwise v is stored in `deltas`, and this is empty.
        fired: one bit per neuron of one layer, uint16 [Z, T * W / 16].
        biases: amount added to each potential of one layer in every step, real [Z, W].
        initial: potentials of one layer before the first step, real [Z, W].
        scores: of the classes of one sample, float64 [Z, classes].
        peaks: the step whose potential is the score of each class, int64 [Z, classes];
            unused where spikes are the scores.
        score_gradient: dL/dscores of one sample, real [Z, stride of the output], zero
            in the padding.
        costs: derivative of the spike penalty by a spike of each unit, real [Z, L, W].
        places: scratch of ``group_by_source``, uint32 [Z, I]; zero between calls.
        begins: number of rows that begin at each spike of a group, uint32
            [Z, most spikes + 1]; zero between calls.
        kept, kept_offsets, amplitudes: the deltas of one layer and sample that travel
            back: units as `sources`, [Z, T * W + SPARE_SPIKES], int64 [Z, T + 1], real
            [Z, T * W].
        marked: one bit per delta, uint16 [Z, T * W / 16 + 1].
        seen: 1 for each source of a layer that fires in a sample, uint8 [Z, I]; zero
            between calls.
    """

    deltas: Array
    sources: Array
    offsets: Array
    steps: Array
    active: Array
    firsts: Array
    n_active: Array
    bias_gradients: Array
    learned: Array
    losses: Array
    potentials: Array
    fired: Array
    biases: Array
    initial: Array
    scores: Array
    peaks: Array
    score_gradient: Array
    costs: Array
    places: Array
    begins: Array
    kept: Array
    kept_offsets: Array
    amplitudes: Array
    marked: Array
    seen: Array


class TrainingArrays(NamedTuple):
    """All that a training step of fully connected layers reads and writes."""

    batch: LabelledBatch
    currents: ConstantInputs
    learning: Learning
    sampling: Sampling
    network: NetworkArrays
    backward: BackwardArrays
    workspace: Workspace
    gradient: BatchGradient


@compiled_inline
def named_training(arrays):
    """Return plain nested tuples, as Python passes them, as ``TrainingArrays``."""
    (
        batch,
        currents,
        learning,
        sampling,
        network,
        backward,
        workspace,
        gradient,
    ) = arrays
    return TrainingArrays(
        LabelledBatch(*batch),
        ConstantInputs(*currents),
        Learning(*learning),
        Sampling(*sampling),
        NetworkArrays(*network),
        BackwardArrays(*backward),
        Workspace(*workspace),
        BatchGradient(*gradient),
    )


class Group(NamedTuple):
    """Consecutive samples of one lane whose weight gradients are added together.

    Attributes:
        slot: the group's slot in the workspace.
        lane: the lane its gradient is added to.
        first, end: its samples in the batch.
    """

    slot: int
    lane: int
    first: int
    end: int


class BySource(NamedTuple):
    """Spikes into a layer ordered by source: source ``active[k]`` fired in the rows
    ``steps[firsts[k] : firsts[k + 1]]``.

    Attributes:
        active: sources that fired, unsigned or int32 [n_active].
        firsts: start of the rows of each [n_active + 1].
        steps: the rows [E].
        n_active: number of sources that fired.
    """

    active: Array
    firsts: Array
    steps: Array
    n_active: int


class LayerBackward(NamedTuple):
    """The backward pass of one sample through one layer.

    Attributes:
        n_steps: T.
        next_deltas: dL/dv of the next layer, ``Rows`` of T steps.
        n_next: units of the next layer; 0 for the output layer.
        sampled: 1 if only some deltas of the next layer travel back, `kept`, else 0.
        kept: their units by step, ``Spikes`` of T rows.
        amplitudes: their values, real.
        next_weights: transposed weights of the next layer, [n_next, stride].
        neuron: constants of this layer's neurons.
        surrogate: the surrogate derivative.
        costs: part of dL/ds that is the same in every step, real [stride].
        potentials: v before the reset, real, flat [T * stride].
        deltas: ``Rows`` [T, stride] that receive dL/dv; may share the memory of
            `potentials`.
        sums: receives the sum of dL/dv over the steps, real [stride].
    """

    n_steps: int
    next_deltas: Rows
    n_next: int
    sampled: int
    kept: Spikes
    amplitudes: Array
    next_weights: Array
    neuron: NeuronConstants
    surrogate: Surrogate
    costs: Array
    potentials: Array
    deltas: Rows
    sums: Array


@compiled_inline
def steps_of(batch):
    """Return T of a batch."""
    return (batch.offsets.size - 1) // batch.labels.size


class Grids(NamedTuple):
    """The grids of quantised parameters, by row (network/quantisation.py).

    Attributes:
        per_unit: 2^k of the grid 2^-k, real [R].
        units: 2^-k, real [R].
        limits: largest magnitude of an integer, real [R].
    """

    per_unit: Array
    units: Array
    limits: Array


class Moments(NamedTuple):
    """Adam's running means of the gradient and of its square, real [P] each."""

    first: Array
    second: Array


class AdamArrays(NamedTuple):
    """The arrays that one step of Adam reads and writes.

    Attributes:
        parameters: real [P].
        gradient: of the batch, real [P].
        touched: rows in which the gradient is not zero, bool [R].
        first, second: Adam's moments, real [P].
        kept: 1 for each parameter that is kept, 0 for a pruned one, real [P]; of size 0
            without pruning.
    """

    parameters: Array
    gradient: Array
    touched: Array
    first: Array
    second: Array
    kept: Array


class AdamSettings(NamedTuple):
    """Constants of one step of Adam (optimizer.py), all real.

    Attributes:
        clip: factor that clips the norm of the gradient.
        weight_decay: L2 penalty.
        beta1: decay of the first moment.
        rest1: 1 - beta1.
        beta2: decay of the second moment.
        rest2: 1 - beta2.
        rate: learning rate / (1 - beta1^t).
        correction: 1 / sqrt(1 - beta2^t).
        epsilon: added to the root of the second moment.
        tiny: gradients and moments below become zero.
    """

    clip: Real
    weight_decay: Real
    beta1: Real
    rest1: Real
    beta2: Real
    rest2: Real
    rate: Real
    correction: Real
    epsilon: Real
    tiny: Real


@compiled_inline
def synapses_touched(spikes, first, end, fan_outs, seen):
    """Count the synapses that the spikes of one sample reach, each once.

    Args:
        spikes: ``Spikes``.
        first, end: the sample's rows.
        fan_outs: synapses of each source, int64.
        seen: scratch, uint8 of the same length; zero before and after.
    """
    sources = spikes.sources
    offsets = spikes.offsets
    # Without a branch, which would be mispredicted: marks are counted afterwards.
    for event in range(np.uint64(offsets[first]), np.uint64(offsets[end])):
        seen[np.uint64(sources[event])] = np.uint8(1)
    touched = np.int64(0)
    for source in range(fan_outs.size):
        touched += np.int64(seen[source]) * fan_outs[source]
    seen[:] = np.uint8(0)
    return touched
