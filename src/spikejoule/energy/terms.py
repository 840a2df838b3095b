"""The vocabulary of the energy report: what is counted, and which arithmetic each term is.

A term is a kind of operation with an integer count of its own. Prices are per term. Operations of
plain arithmetic (`ARITHMETIC`) are priced by a profile of scope `arithmetic` for all terms that
consist of them; every other price stands for exactly one term.
"""

from typing import Final

PIXEL_READ: Final = "pixel_read"
RANDOM_DRAW: Final = "random_draw"
CODE_COMPARISON: Final = "code_comparison"
CODE_MULTIPLICATION: Final = "code_multiplication"
CODE_ADDITION: Final = "code_addition"
CODE_LOGARITHM: Final = "code_logarithm"

SYNAPTIC_EVENT: Final = "synaptic_event"
INPUT_MAC: Final = "input_mac"
NEURON_UPDATE_ACTIVE: Final = "neuron_update_active"
NEURON_UPDATE_INACTIVE: Final = "neuron_update_inactive"
LEAK_MULTIPLICATION: Final = "leak_multiplication"
BIAS_ADDITION: Final = "bias_addition"
THRESHOLD_COMPARISON: Final = "threshold_comparison"
RESET: Final = "reset"
SPIKE_ROUTED: Final = "spike_routed"
ADDRESS_EVENT: Final = "address_event"
WEIGHT_READ: Final = "weight_read"
INDEX_READ: Final = "index_read"
BIAS_READ: Final = "bias_read"
STATE_ACCESS: Final = "state_access"
STATE_ACCESS_PER_EVENT: Final = "state_access_per_event"
SPIKE_READ: Final = "spike_read"
SPIKE_WRITE: Final = "spike_write"
SPIKE_COUNTED: Final = "spike_counted"
DECISION_COMPARISON: Final = "decision_comparison"

ACTIVATION_COMPARISON: Final = "activation_comparison"
ZERO_COMPARISON: Final = "zero_comparison"
REQUANTISATION: Final = "requantisation"
ADDRESS_UNIT: Final = "address_unit"
ADDRESS_MAC: Final = "address_mac"
ACTIVATION_READ: Final = "activation_read"
ACTIVATION_WRITE: Final = "activation_write"
SUM_ACCESS_PER_MAC: Final = "sum_access_per_mac"

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
    PIXEL_READ: "a pixel of 8 bits is read to become spikes, once per image",
    RANDOM_DRAW: "a random number is drawn to turn a pixel into spikes",
    CODE_COMPARISON: "two numbers are compared to turn a pixel into spikes",
    CODE_MULTIPLICATION: "a multiplication to turn a pixel into spikes",
    CODE_ADDITION: "an addition or subtraction to turn a pixel into spikes",
    CODE_LOGARITHM: "a logarithm to turn a pixel into spikes",
    SYNAPTIC_EVENT: "a spike reaches one synapse: its weight is added to the target's potential",
    INPUT_MAC: "the constant current of a pixel times the weight of one synapse is added up",
    NEURON_UPDATE_ACTIVE: "a neuron takes a step of 1 ms in which it spikes",
    NEURON_UPDATE_INACTIVE: "a neuron takes a step of 1 ms in which it does not spike",
    LEAK_MULTIPLICATION: "a membrane potential is multiplied by the decay, once per neuron and "
    "step",
    BIAS_ADDITION: "a bias is added to a membrane potential, once per neuron and step",
    THRESHOLD_COMPARISON: "a membrane potential is compared with the threshold, once per neuron "
    "and step",
    RESET: "a membrane potential is reset after a spike: set to zero, or lowered by a subtraction",
    SPIKE_ROUTED: "a spike leaves its layer, the output's to whoever reads them",
    ADDRESS_EVENT: "the address of a synapse is computed where a spike, or an activation that is "
    "not zero, arrives",
    WEIGHT_READ: "a weight is read, once per synaptic event or multiply-accumulate",
    INDEX_READ: "the index of a synapse's target is read with its weight, where synapses were "
    "removed",
    BIAS_READ: "a bias is read, once per addition of it",
    STATE_ACCESS: "a membrane potential is read or written, each once per step",
    STATE_ACCESS_PER_EVENT: "a membrane potential is read or written once more for each event, if "
    "it is not kept in a register over a step",
    SPIKE_READ: "the address of a spike is read from the queue before a layer",
    SPIKE_WRITE: "the address of a spike is written to the queue behind its layer",
    SPIKE_COUNTED: "a spike of the output is added to the count of its class",
    DECISION_COMPARISON: "two counts, or scores, of classes are compared to find the answer",
    ACTIVATION_COMPARISON: "a sum is compared with zero (ReLU), once per hidden unit",
    ZERO_COMPARISON: "an activation is compared with zero, to skip its products",
    REQUANTISATION: "a sum of integers is multiplied and shifted to the width of an activation",
    ADDRESS_UNIT: "the address of an activation is computed, of all in their order",
    ADDRESS_MAC: "the address of a weight is computed, of all in their order",
    ACTIVATION_READ: "an activation is read, once per layer that it enters",
    ACTIVATION_WRITE: "an activation, or a score, is written",
    SUM_ACCESS_PER_MAC: "a sum is read or written for a product, where activations come one by one "
    "and a sum is not kept in a register meanwhile",
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

OF_CODE: Final = (
    PIXEL_READ,
    RANDOM_DRAW,
    CODE_COMPARISON,
    CODE_MULTIPLICATION,
    CODE_ADDITION,
    CODE_LOGARITHM,
)
"""What turning an image into spikes takes."""

OF_ANSWER: Final = (SPIKE_COUNTED, DECISION_COMPARISON)
"""What reading the answer takes."""

OF_INFERENCE: Final = (
    SYNAPTIC_EVENT,
    NEURON_UPDATE_ACTIVE,
    NEURON_UPDATE_INACTIVE,
    LEAK_MULTIPLICATION,
    BIAS_ADDITION,
    THRESHOLD_COMPARISON,
    RESET,
    SPIKE_ROUTED,
    ADDRESS_EVENT,
    WEIGHT_READ,
    INDEX_READ,
    BIAS_READ,
    STATE_ACCESS,
    STATE_ACCESS_PER_EVENT,
    SPIKE_READ,
    SPIKE_WRITE,
)
"""What an event-driven chip does in inference and in training's forward pass.

The products of constant currents are not among them: a chip's figure for its events does not hold
what it takes to multiply. Nor are the code and the answer: they are made outside of the chip.
"""

UPDATES: Final = (NEURON_UPDATE_ACTIVE, NEURON_UPDATE_INACTIVE)
"""The two kinds of neuron update."""

PARTS_OF_UPDATE: Final = (LEAK_MULTIPLICATION, BIAS_ADDITION)
"""Terms that a neuron update contains: a profile that prices updates may not price them again."""

WITHIN: Final = {
    LEAK_MULTIPLICATION: UPDATES,
    BIAS_ADDITION: UPDATES,
    BIAS_READ: UPDATES,
    THRESHOLD_COMPARISON: UPDATES,
    RESET: UPDATES,
    STATE_ACCESS: UPDATES,
    ADDRESS_EVENT: (SYNAPTIC_EVENT,),
    WEIGHT_READ: (SYNAPTIC_EVENT,),
    INDEX_READ: (SYNAPTIC_EVENT,),
    STATE_ACCESS_PER_EVENT: (SYNAPTIC_EVENT,),
    SPIKE_READ: (SYNAPTIC_EVENT,),
    SPIKE_WRITE: (SPIKE_ROUTED,),
}
"""Terms that a chip's price of another term contains: what a whole synaptic operation or neuron
update takes on a chip includes the words it reads and writes. Adding a memory's price to it would
count them twice."""

UPPER_BOUND_ONLY: Final = (STATE_ACCESS_PER_EVENT, SUM_ACCESS_PER_MAC)
"""Terms that the lower end of a total leaves out, because the hardware may do without them, unless
a profile has a price of their own for them."""

PRICE_OF: Final = {STATE_ACCESS_PER_EVENT: STATE_ACCESS, SUM_ACCESS_PER_MAC: STATE_ACCESS}
"""Terms that have the price of another term."""

PER_SPIKE: Final = (
    SYNAPTIC_EVENT,
    NEURON_UPDATE_ACTIVE,
    RESET,
    SPIKE_ROUTED,
    ADDRESS_EVENT,
    WEIGHT_READ,
    INDEX_READ,
    STATE_ACCESS_PER_EVENT,
    SPIKE_READ,
    SPIKE_WRITE,
    SPIKE_COUNTED,
)
"""What grows with the spikes; an active update does so in place of an inactive one."""

OF_CONVENTIONAL: Final = (
    MAC,
    ACTIVATION_COMPARISON,
    REQUANTISATION,
    ADDRESS_UNIT,
    ADDRESS_MAC,
    ACTIVATION_READ,
    ACTIVATION_WRITE,
    SUM_ACCESS_PER_MAC,
)
"""What a conventional network alone does."""

OF_EVENTS: Final = (
    SYNAPTIC_EVENT,
    NEURON_UPDATE_ACTIVE,
    NEURON_UPDATE_INACTIVE,
    SPIKE_ROUTED,
    HOP_EAST_WEST,
    HOP_NORTH_SOUTH,
)
"""What a chip may have a price for."""

OF_MEMORY: Final = (
    PIXEL_READ,
    WEIGHT_READ,
    INDEX_READ,
    BIAS_READ,
    STATE_ACCESS,
    SPIKE_READ,
    SPIKE_WRITE,
    ACTIVATION_READ,
    ACTIVATION_WRITE,
)
"""What a memory may have a price for."""

OF_CONTROL: Final = (
    RANDOM_DRAW,
    CODE_COMPARISON,
    CODE_MULTIPLICATION,
    CODE_ADDITION,
    CODE_LOGARITHM,
    THRESHOLD_COMPARISON,
    RESET,
    SPIKE_COUNTED,
    DECISION_COMPARISON,
    ACTIVATION_COMPARISON,
    ZERO_COMPARISON,
    REQUANTISATION,
)
"""Operations beside those that accumulate, which a profile of arithmetic may price one by one."""

OF_SYSTEM: Final = (
    *OF_MEMORY,
    STATE_ACCESS_PER_EVENT,
    SUM_ACCESS_PER_MAC,
    *OF_CONTROL,
    SYNAPTIC_EVENT,
    INPUT_MAC,
    LEAK_MULTIPLICATION,
    BIAS_ADDITION,
    ADDRESS_EVENT,
    ADDRESS_UNIT,
    ADDRESS_MAC,
    MAC,
)
"""What a whole core may have prices for: arithmetic, addresses and words of memory."""
