"""Cascades: a small network answers unless its lead is small; then a larger one runs.

The lead of a network is the difference between its two highest class scores: spike
counts of a spiking network at the step in which it stops, sums of a conventional one.
Images with a lead below a limit run through the second network, which then answers. The
limit is the lowest at which the cascade is at most `tolerance_percent` less accurate on
validation images than the second network alone. A cascade is one entrant, counted for
what ran: the first network for every image, the second for those that reach it.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.counting import best_class
from spikejoule.energy.ledger import Variant
from spikejoule.energy.operations import OperationCounts, block, joined

CASCADE: Final = "cascade, "
"""Begins the method of a cascade."""


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of a network to N images.

    Attributes:
        correct: whether each is right, bool [N].
        leads: its lead over the second best class, [N].
    """

    correct: NDArray[np.bool_]
    leads: NDArray[Any]

    @classmethod
    def of(cls, scores: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Read answers from class scores [N, classes]; the first of equals answers."""
        ranked = np.partition(scores, scores.shape[1] - 2, axis=1)
        return cls(best_class(scores) == labels, ranked[:, -1] - ranked[:, -2])

    @property
    def accuracy_percent(self) -> float:
        """The percentage of right answers."""
        return 100 * float(self.correct.mean())


@dataclass(frozen=True, eq=False)
class Entrant:
    """A network, one way of running it, and its answers.

    Attributes:
        variant: the network, counted on the test images.
        n_classes: number of its class scores.
        validation, test: its answers.
        n_networks: networks that it consists of: 2 for a cascade.
        sent_once: synaptic events of a spiking network if each neuron that spikes sent
            one value, its number of spikes, as in a conventional network; of each test
            image, [N]. None if unknown.
    """

    variant: Variant
    n_classes: int
    validation: Answers
    test: Answers
    n_networks: int = 1
    sent_once: NDArray[np.int64] | None = None

    @property
    def mean_sent_once(self) -> float | None:
        """The mean of `sent_once`."""
        return None if self.sent_once is None else float(self.sent_once.mean())


def cascade(first: Entrant, second: Entrant, tolerance_percent: float) -> Entrant:
    """Run the second network where the lead of the first is small.

    Raises:
        ParameterError: the networks are of different sides.
    """
    sides = {first.variant.side, second.variant.side}
    if len(sides) > 1:
        raise ParameterError(
            f"a cascade has networks of one side, but {first.variant.network} is "
            f"{first.variant.side} and {second.variant.network} {second.variant.side}"
        )
    limit = lowest_limit(first.validation, second.validation, tolerance_percent)
    validation = joined_answers(first.validation, second.validation, limit)
    test = joined_answers(first.test, second.test, limit)
    passes = first.test.leads < limit
    digests = first.variant.weights_sha256 + second.variant.weights_sha256
    variant = Variant(
        side=first.variant.side,
        network=f"{first.variant.network}, then {second.variant.network}",
        method=f"{CASCADE}{second.variant.method}",
        lazy=second.variant.lazy,
        validation_percent=validation.accuracy_percent,
        test_percent=test.accuracy_percent,
        weight_bits=max(first.variant.weight_bits, second.variant.weight_bits),
        operations=cascaded_operations(first, second, passes),
        weights_sha256=hashlib.sha256(digests.encode()).hexdigest(),
    )
    n_networks = first.n_networks + second.n_networks
    sent_once = None
    if first.sent_once is not None and second.sent_once is not None:
        sent_once = first.sent_once + passes * second.sent_once
    return Entrant(variant, first.n_classes, validation, test, n_networks, sent_once)


def lowest_limit(first: Answers, second: Answers, tolerance_percent: float) -> float:
    """Return the lowest limit of the lead that costs at most the tolerance.

    At the limit infinity, which always qualifies, the second network answers alone.
    """
    may_lose = math.floor(tolerance_percent / 100 * len(second.correct) + 1e-9)
    fewest_correct = int(second.correct.sum()) - may_lose
    order = np.argsort(first.leads, kind="stable")
    # Right answers if the k images with the smallest leads run through the second.
    of_second = np.concatenate([[0], np.cumsum(second.correct[order])])
    of_first = np.concatenate([[0], np.cumsum(first.correct[order])])
    n_correct = of_second + (of_first[-1] - of_first)
    limits = np.append(first.leads[order].astype(np.float64), np.inf)
    # Images with equal leads run alike: k is the number of smaller leads.
    is_first_of_equals = np.append(True, limits[1:] > limits[:-1])
    enough = is_first_of_equals & (n_correct >= fewest_correct)
    return float(limits[np.flatnonzero(enough)[0]])


def joined_answers(first: Answers, second: Answers, limit: float) -> Answers:
    """The answers of a cascade, and the leads of the networks that gave them."""
    passes = first.leads < limit
    return Answers(
        np.where(passes, second.correct, first.correct),
        np.where(passes, second.leads, first.leads),
    )


def cascaded_operations(
    first: Entrant, second: Entrant, passes: NDArray[np.bool_]
) -> OperationCounts:
    """Count a cascade: the second network only where images pass to it, [N].

    Finding the second best class, and comparing the lead with the limit, takes as many
    comparisons as finding the best.
    """
    operations = second.variant.operations
    of_second = replace(operations, counts=operations.counts * passes[:, None])
    comparisons = block("decision_comparison", ["lead"], [first.n_classes - 1])
    return joined(
        [first.variant.operations, comparisons, of_second],
        len(passes),
        max(first.variant.operations.time_window, operations.time_window),
    )
