"""The vocabulary of the energy report: what is counted, and which arithmetic each term is.

A term is a kind of operation with an integer count of its own. Prices are per term. Operations of
plain arithmetic (`ARITHMETIC`) are priced by a profile of scope `arithmetic` for all terms that
consist of them; every other price stands for exactly one term.
"""

from typing import Final

SYNAPTIC_EVENT: Final = "synaptic_event"
INPUT_MAC: Final = "input_mac"
NEURON_UPDATE_ACTIVE: Final = "neuron_update_active"
NEURON_UPDATE_INACTIVE: Final = "neuron_update_inactive"
LEAK_MULTIPLICATION: Final = "leak_multiplication"
BIAS_ADDITION: Final = "bias_addition"
SPIKE_ROUTED: Final = "spike_routed"
WEIGHT_READ: Final = "weight_read"
STATE_ACCESS: Final = "state_access"
STATE_ACCESS_PER_EVENT: Final = "state_access_per_event"
HOP_EAST_WEST: Final = "hop_east_west"
HOP_NORTH_SOUTH: Final = "hop_north_south"

GRADIENT_ACCUMULATION: Final = "gradient_accumulation"
INPUT_GRADIENT_MAC: Final = "input_gradient_mac"
BIAS_GRADIENT_ACCUMULATION: Final = "bias_gradient_accumulation"
BACKPROPAGATION_MAC: Final = "backpropagation_mac"
DELTA_MULTIPLICATION: Final = "delta_multiplication"
DELTA_ADDITION: Final = "delta_addition"
SURROGATE_EVALUATION: Final = "surrogate_evaluation"
TEACHER_MAC: Final = "teacher_mac"
OPTIMIZER_MULTIPLICATION: Final = "optimizer_multiplication"
OPTIMIZER_ADDITION: Final = "optimizer_addition"
OPTIMIZER_DIVISION: Final = "optimizer_division"
OPTIMIZER_ROOT: Final = "optimizer_root"

MAC: Final = "mac"
ADDITION: Final = "addition"
MULTIPLICATION: Final = "multiplication"

ARITHMETIC: Final = (MAC, ADDITION, MULTIPLICATION)

DESCRIPTIONS: Final = {
    SYNAPTIC_EVENT: "a spike reaches one synapse: its weight is added to the target's potential",
    INPUT_MAC: "the constant current of a pixel times the weight of one synapse is added up",
    NEURON_UPDATE_ACTIVE: "a neuron takes a step of 1 ms in which it spikes",
    NEURON_UPDATE_INACTIVE: "a neuron takes a step of 1 ms in which it does not spike",
    LEAK_MULTIPLICATION: "a membrane potential is multiplied by the decay, once per neuron and "
    "step",
    BIAS_ADDITION: "a bias is added to a membrane potential, once per neuron and step",
    SPIKE_ROUTED: "a spike leaves its layer, the output's to whoever reads them",
    WEIGHT_READ: "a weight of 32 bits is read, once per synaptic event",
    STATE_ACCESS: "a membrane potential of 32 bits is read or written, each once per step",
    STATE_ACCESS_PER_EVENT: "a membrane potential is read or written once more for each event, if "
    "it is not kept in a register over a step",
    HOP_EAST_WEST: "a spike goes on by one router east or west; depends on the placement",
    HOP_NORTH_SOUTH: "a spike goes on by one router north or south; depends on the placement",
    GRADIENT_ACCUMULATION: "the membrane's delta is added to the gradient of one synapse, once per "
    "synaptic event",
    INPUT_GRADIENT_MAC: "a pixel's current times a delta is added to the gradient of one synapse",
    BIAS_GRADIENT_ACCUMULATION: "the delta is added to the bias's gradient, once per neuron and "
    "step",
    BACKPROPAGATION_MAC: "a delta times a weight is added to the gradient of a hidden spike, every "
    "synapse between neurons in every step",
    DELTA_MULTIPLICATION: "two multiplications per neuron and step: by the surrogate's derivative "
    "and by the decay",
    DELTA_ADDITION: "one addition per neuron and step: what comes from the step after",
    SURROGATE_EVALUATION: "the surrogate's derivative at one membrane potential",
    TEACHER_MAC: "an activation of the ReLU teacher times a weight, every weight once per training "
    "sample",
    OPTIMIZER_MULTIPLICATION: "a multiplication of the optimizer",
    OPTIMIZER_ADDITION: "an addition of the optimizer",
    OPTIMIZER_DIVISION: "a division of the optimizer",
    OPTIMIZER_ROOT: "a square root of the optimizer",
    MAC: "a multiplication and an addition",
    ADDITION: "an addition, or accumulate (AC)",
    MULTIPLICATION: "a multiplication",
}
"""What one operation of each term is, in words."""

OPERATION_OF: Final = {
    SYNAPTIC_EVENT: ADDITION,
    INPUT_MAC: MAC,
    BIAS_ADDITION: ADDITION,
    LEAK_MULTIPLICATION: MULTIPLICATION,
    GRADIENT_ACCUMULATION: ADDITION,
    INPUT_GRADIENT_MAC: MAC,
    BIAS_GRADIENT_ACCUMULATION: ADDITION,
    BACKPROPAGATION_MAC: MAC,
    TEACHER_MAC: MAC,
    DELTA_MULTIPLICATION: MULTIPLICATION,
    DELTA_ADDITION: ADDITION,
    OPTIMIZER_MULTIPLICATION: MULTIPLICATION,
    OPTIMIZER_ADDITION: ADDITION,
}
"""The arithmetic operation that a term is, where it is one."""

OF_INFERENCE: Final = (
    SYNAPTIC_EVENT,
    NEURON_UPDATE_ACTIVE,
    NEURON_UPDATE_INACTIVE,
    LEAK_MULTIPLICATION,
    BIAS_ADDITION,
    SPIKE_ROUTED,
    WEIGHT_READ,
    STATE_ACCESS,
    STATE_ACCESS_PER_EVENT,
)
"""What an event-driven chip does in inference and in training's forward pass.

The products of constant currents are not among them: a chip's figure for its events does not hold
what it takes to multiply.
"""

UPDATES: Final = (NEURON_UPDATE_ACTIVE, NEURON_UPDATE_INACTIVE)
"""The two kinds of neuron update."""

PARTS_OF_UPDATE: Final = (LEAK_MULTIPLICATION, BIAS_ADDITION)
"""Terms that a neuron update contains: a profile that prices updates may not price them again."""

WITHIN: Final = {
    LEAK_MULTIPLICATION: UPDATES,
    BIAS_ADDITION: UPDATES,
    STATE_ACCESS: UPDATES,
    WEIGHT_READ: (SYNAPTIC_EVENT,),
    STATE_ACCESS_PER_EVENT: (SYNAPTIC_EVENT,),
}
"""Terms that a chip's price of another term contains: what a whole synaptic operation or neuron
update takes on a chip includes the words it reads and writes. Adding a memory's price to it would
count them twice."""

UPPER_BOUND_ONLY: Final = (STATE_ACCESS_PER_EVENT,)
"""Terms that the lower end of a total leaves out, because the hardware may do without them."""

PRICE_OF: Final = {STATE_ACCESS_PER_EVENT: STATE_ACCESS}
"""Terms that have the price of another term."""

PER_SPIKE: Final = (
    SYNAPTIC_EVENT,
    NEURON_UPDATE_ACTIVE,
    SPIKE_ROUTED,
    WEIGHT_READ,
    STATE_ACCESS_PER_EVENT,
)
"""What grows with the spikes; an active update does so in place of an inactive one."""

OF_EVENTS: Final = (
    SYNAPTIC_EVENT,
    NEURON_UPDATE_ACTIVE,
    NEURON_UPDATE_INACTIVE,
    SPIKE_ROUTED,
    HOP_EAST_WEST,
    HOP_NORTH_SOUTH,
)
"""What a chip may have a price for."""

OF_MEMORY: Final = (WEIGHT_READ, STATE_ACCESS)
"""What a memory may have a price for."""
