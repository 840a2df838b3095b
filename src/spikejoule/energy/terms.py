"""The table of terms: every operation that is counted, and what a price may make of it.

A term is a kind of operation with an integer count of its own. Everything else that is known of it
is its row here; a new term is a row and its count (`docs/how-to/add-a-term.md`).
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Side = Literal["encoding", "spiking", "input", "conventional", "either", "answer", "route",
               "training", "arithmetic"]  # fmt: skip
Priced = Literal["arithmetic", "memory", "system", "chip"]

ACCUMULATED: Final = "weights added or multiplied"
UNIT_WORK: Final = "biases, leaks, comparisons, resets"
ADDRESSES: Final = "addresses"
WEIGHTS: Final = "weights read"
STATES: Final = "potentials or sums read and written"
TRANSFER: Final = "spikes or activations handed on"
ENDS: Final = "code and answer"
PARTS: Final = (ACCUMULATED, UNIT_WORK, ADDRESSES, WEIGHTS, STATES, TRANSFER, ENDS)
"""What an inference's energy goes to, in parts that both kinds of network have."""

UPDATES: Final = ("neuron_update_active", "neuron_update_inactive")
"""The two kinds of neuron update."""

_EVENT: Final = ("synaptic_event",)


@dataclass(frozen=True)
class Term:
    """A row of the table.

    Attributes:
        name: by which counts, price files and metrics/energy.csv call it.
        sentence: what one operation of it is.
        side: what does it: ``encoding`` an image, a ``spiking`` network's inference, its ``input``
            of constant currents, a ``conventional`` network, ``either`` of them, finding the
            ``answer``, the ``route`` of a spike on a chip, ``training``; ``arithmetic`` is what
            terms consist of.
        operation: the arithmetic that it is, ``mac``, ``addition`` or ``multiplication``.
        priced: scopes of profiles that may have a price for it; ``chip`` are those of events.
        part: what of an inference's energy it belongs to, one of `PARTS`; empty for a chip's own
            units of work, whose price is of several parts at once, and outside of inference.
        within: terms whose price on a chip contains this one: what a whole synaptic operation or
            neuron update takes includes the words that it reads and writes. Adding a memory's price
            to it would count them twice.
        grows: whether it grows with the spikes; an active update does so in place of an inactive
            one.
        once: due once an ``inference``, however many steps its window has; ``rate`` if only a code
            that draws in every step does it once.
        optional_as: hardware may do without it, so that the lower end of a total leaves it out; in
            a memory, it has the price of this other term.
    """

    name: str
    sentence: str
    side: Side
    operation: str = ""
    priced: tuple[Priced, ...] = ()
    part: str = ""
    within: tuple[str, ...] = ()
    grows: bool = False
    once: Literal["", "inference", "rate"] = ""
    optional_as: str = ""


_ARITHMETIC: Final[tuple[Priced, ...]] = ("arithmetic", "system")
_MEMORY: Final[tuple[Priced, ...]] = ("memory", "system")
_SYSTEM: Final[tuple[Priced, ...]] = ("system",)
_CHIP: Final[tuple[Priced, ...]] = ("chip",)

_ROWS: Final = (
    Term("pixel_read", "a pixel of 8 bits is read to become spikes, once per image",
         "encoding", priced=_MEMORY, part=ENDS, once="inference"),
    Term("random_draw", "a random number is drawn to turn a pixel into spikes",
         "encoding", priced=_ARITHMETIC, part=ENDS),
    Term("code_comparison", "two numbers are compared to turn a pixel into spikes",
         "encoding", priced=_ARITHMETIC, part=ENDS),
    Term("code_multiplication", "a multiplication to turn a pixel into spikes",
         "encoding", priced=_ARITHMETIC, part=ENDS, once="rate"),
    Term("code_addition", "an addition or subtraction to turn a pixel into spikes",
         "encoding", priced=_ARITHMETIC, part=ENDS),
    Term("code_logarithm", "a logarithm to turn a pixel into spikes",
         "encoding", priced=_ARITHMETIC, part=ENDS, once="rate"),
    Term("synaptic_event",
         "a spike reaches one synapse: its weight is added to the target's potential",
         "spiking", "addition", priced=("system", "chip"), part=ACCUMULATED, grows=True),
    Term("input_mac",
         "the constant current of a pixel times the weight of one synapse is added up",
         "input", "mac", priced=_SYSTEM, part=ACCUMULATED),
    Term("neuron_update_active", "a neuron takes a step of 1 ms in which it spikes",
         "spiking", priced=_CHIP, grows=True),
    Term("neuron_update_inactive", "a neuron takes a step of 1 ms in which it does not spike",
         "spiking", priced=_CHIP),
    Term("leak_multiplication",
         "a membrane potential is multiplied by the decay, once per neuron and step",
         "spiking", "multiplication", priced=_SYSTEM, part=UNIT_WORK, within=UPDATES),
    Term("bias_addition", "a bias is added to a membrane potential, once per neuron and step",
         "spiking", "addition", priced=_SYSTEM, part=UNIT_WORK, within=UPDATES),
    Term("threshold_comparison",
         "a membrane potential is compared with the threshold, once per neuron and step",
         "spiking", priced=_ARITHMETIC, part=UNIT_WORK, within=UPDATES),
    Term("reset",
         "a membrane potential is reset after a spike: set to zero, or lowered by a subtraction",
         "spiking", priced=_ARITHMETIC, part=UNIT_WORK, within=UPDATES, grows=True),
    Term("spike_routed", "a spike leaves its layer, the output's to whoever reads them",
         "spiking", priced=_CHIP, grows=True),
    Term("address_event",
         "the address of a synapse is computed where a spike, or an activation that is not zero, "
         "arrives",
         "spiking", priced=_SYSTEM, part=ADDRESSES, within=_EVENT, grows=True),
    Term("weight_read", "a weight is read, once per synaptic event or multiply-accumulate",
         "spiking", priced=_MEMORY, part=WEIGHTS, within=_EVENT, grows=True),
    Term("index_read",
         "the index of a synapse's target is read with its weight, where synapses were removed",
         "spiking", priced=_MEMORY, part=WEIGHTS, within=_EVENT, grows=True),
    Term("bias_read", "a bias is read, once per addition of it",
         "spiking", priced=_MEMORY, part=WEIGHTS, within=UPDATES),
    Term("state_access", "a membrane potential is read or written, each once per step",
         "spiking", priced=_MEMORY, part=STATES, within=UPDATES),
    Term("state_access_per_event",
         "a membrane potential is read or written once more for each event, if it is not kept in "
         "a register over a step",
         "spiking", priced=_SYSTEM, part=STATES, within=_EVENT, grows=True,
         optional_as="state_access"),
    Term("spike_read", "the address of a spike is read from the queue before a layer",
         "spiking", priced=_MEMORY, part=TRANSFER, within=_EVENT, grows=True),
    Term("spike_write", "the address of a spike is written to the queue behind its layer",
         "spiking", priced=_MEMORY, part=TRANSFER, within=("spike_routed",), grows=True),
    Term("spike_counted", "a spike of the output is added to the count of its class",
         "answer", priced=_ARITHMETIC, part=ENDS, grows=True),
    Term("decision_comparison", "two counts, or scores, of classes are compared to find the answer",
         "answer", priced=_ARITHMETIC, part=ENDS, once="inference"),
    Term("activation_comparison", "a sum is compared with zero (ReLU), once per hidden unit",
         "conventional", priced=_ARITHMETIC, part=UNIT_WORK),
    Term("zero_comparison", "an activation is compared with zero, to skip its products",
         "either", priced=_ARITHMETIC, part=UNIT_WORK, once="inference"),
    Term("requantisation", "a sum of integers is multiplied and shifted to the width of an "
         "activation",
         "conventional", priced=_ARITHMETIC, part=UNIT_WORK),
    Term("address_unit", "the address of an activation is computed, of all in their order",
         "conventional", priced=_SYSTEM, part=ADDRESSES),
    Term("address_mac", "the address of a weight is computed, of all in their order",
         "conventional", priced=_SYSTEM, part=ADDRESSES),
    Term("activation_read", "an activation is read, once per layer that it enters",
         "conventional", priced=_MEMORY, part=TRANSFER),
    Term("activation_write", "an activation, or a score, is written",
         "conventional", priced=_MEMORY, part=TRANSFER),
    Term("sum_access_per_mac",
         "a sum is read or written for a product, where activations come one by one and a sum is "
         "not kept in a register meanwhile",
         "conventional", priced=_SYSTEM, part=STATES, optional_as="state_access"),
    Term("hop_east_west",
         "a spike goes on by one router east or west; depends on the placement",
         "route", priced=_CHIP),
    Term("hop_north_south",
         "a spike goes on by one router north or south; depends on the placement",
         "route", priced=_CHIP),
    Term("gradient_accumulation",
         "the membrane's delta is added to the gradient of one synapse, once per synaptic event",
         "training", "addition"),
    Term("input_gradient_mac",
         "a pixel's current times a delta is added to the gradient of one synapse",
         "training", "mac"),
    Term("bias_gradient_accumulation",
         "the delta is added to the bias's gradient, once per neuron and step",
         "training", "addition"),
    Term("backpropagation_mac",
         "a delta times a weight is added to the gradient of a hidden spike, every synapse between "
         "neurons in every step",
         "training", "mac"),
    Term("delta_multiplication",
         "two multiplications per neuron and step: by the surrogate's derivative and by the decay",
         "training", "multiplication"),
    Term("delta_addition",
         "one addition per neuron and step: what comes from the step after",
         "training", "addition"),
    Term("surrogate_evaluation", "the surrogate's derivative at one membrane potential",
         "training"),
    Term("teacher_mac",
         "an activation of the ReLU teacher times a weight, every weight once per training sample",
         "training", "mac"),
    Term("optimizer_multiplication", "a multiplication of the optimizer",
         "training", "multiplication"),
    Term("optimizer_addition", "an addition of the optimizer", "training", "addition"),
    Term("optimizer_division", "a division of the optimizer", "training"),
    Term("optimizer_root", "a square root of the optimizer", "training"),
    Term("mac", "a multiplication and an addition",
         "conventional", "mac", priced=_ARITHMETIC, part=ACCUMULATED),
    Term("addition", "an addition, or accumulate (AC)",
         "arithmetic", "addition", priced=("arithmetic",)),
    Term("multiplication", "a multiplication",
         "arithmetic", "multiplication", priced=("arithmetic",)),
)  # fmt: skip

TERMS: Final = {term.name: term for term in _ROWS}
"""The table, by name."""


PARTS_OF_UPDATE: Final = tuple(one.name for one in _ROWS if one.within == UPDATES and one.operation)
"""Operations of arithmetic that a neuron update contains."""


def priceable(priced: Priced) -> tuple[str, ...]:
    """Terms that profiles of a kind of scope may have a price for."""
    return tuple(term.name for term in _ROWS if priced in term.priced)


def in_words(*names: str) -> str:
    """Terms as people write them, after one another."""
    return ", ".join(re.sub(r"\bmac\b", "MAC", name.replace("_", " ")) for name in names)
