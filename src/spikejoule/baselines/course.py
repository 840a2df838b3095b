"""What became of each network so far, and the state from which all of them can go on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spikejoule.baselines.members import Member
from spikejoule.baselines.quantised import QuantisedNetwork
from spikejoule.baselines.stack import Stack
from spikejoule.baselines.weights import network_of, weight_arrays
from spikejoule.core.errors import ArtifactError
from spikejoule.core.resume_files import Kept
from spikejoule.model.architecture import State


@dataclass(frozen=True, eq=False)
class TrainedBaseline:
    """The best weights of a network, and how they came about.

    Attributes:
        member: which network.
        network: its parameters, or its integers, after the epoch with the best validation accuracy
            (the first of equals) of those in which its pruning was done.
        best_epoch: that epoch, from 1 on.
        validation_accuracies_percent: after each epoch; of integers, as they are in floating point.
    """

    member: Member
    network: State | QuantisedNetwork
    best_epoch: int
    validation_accuracies_percent: tuple[float, ...]

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Of the weights that were kept."""
        return self.validation_accuracies_percent[self.best_epoch - 1]


class Course:
    """The epochs of a network so far, and the best weights of them."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.accuracies_percent: list[float] = []
        self._best_epoch = 0
        self._network: State | QuantisedNetwork = {}

    def add(
        self,
        accuracy: float,
        epoch: int,
        max_epochs: int,
        network: Callable[[], State | QuantisedNetwork],
    ) -> None:
        """Add an epoch, and keep the network if it is the best until now."""
        self.accuracies_percent.append(accuracy)
        if not self.member.pruning.is_pruned_by(epoch, max_epochs):
            return
        if not self._best_epoch or accuracy > self.accuracies_percent[self._best_epoch - 1]:
            self._best_epoch, self._network = epoch, network()

    def ended(self) -> TrainedBaseline:
        """What came of it."""
        accuracies = tuple(self.accuracies_percent)
        return TrainedBaseline(self.member, self._network, self._best_epoch, accuracies)

    def entry(self) -> dict[str, Any]:
        """What JSON holds of it."""
        return {"accuracies_percent": self.accuracies_percent, "best_epoch": self._best_epoch}

    def best_arrays(self) -> dict[str, NDArray[Any]]:
        """The best weights; nothing before the network is pruned."""
        return weight_arrays(self._network)

    def go_on_from(self, entry: Mapping[str, Any], best: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `entry` and `best_arrays` said."""
        self.accuracies_percent = [float(of) for of in entry["accuracies_percent"]]
        self._best_epoch = int(entry["best_epoch"])
        if self._best_epoch:
            self._network = network_of(
                best, len(self.member.architecture.fan_outs), self.member.bits
            )


@dataclass(frozen=True, eq=False)
class Group:
    """Networks that are one computation, and the course of each."""

    stack: Stack
    courses: Sequence[Course]


def kept_of(groups: Sequence[Group], seconds: Sequence[float]) -> Kept:
    """The state of all networks after epochs of so many seconds."""
    arrays: dict[str, NDArray[Any]] = {}
    entries: list[list[dict[str, Any]]] = []
    for number, group in enumerate(groups):
        entries.append([course.entry() for course in group.courses])
        for k, course in enumerate(group.courses):
            for part, of in (("next", group.stack.arrays(k)), ("best", course.best_arrays())):
                arrays |= {f"{number}.{k}.{part}.{name}": values for name, values in of.items()}
    return Kept({"seconds": list(seconds), "groups": entries}, arrays)


def go_on_from(kept: Kept, groups: Sequence[Group]) -> list[float]:
    """Let fresh networks take up a state of `kept_of`; returns the seconds of its epochs.

    Raises ArtifactError if it is none of these networks, some of which may have taken it up then.
    """
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for full_name, values in kept.arrays.items():
        *place, name = full_name.split(".", 3)
        parts.setdefault(".".join(place), {})[name] = values
    try:
        seconds = [float(of) for of in kept.plain["seconds"]]
        for number, (group, entries) in enumerate(zip(groups, kept.plain["groups"], strict=True)):
            for k, (course, entry) in enumerate(zip(group.courses, entries, strict=True)):
                course.go_on_from(entry, parts.get(f"{number}.{k}.best", {}))
                if len(course.accuracies_percent) != len(seconds):
                    raise ArtifactError("the state has not the same epochs of all networks")
                its_arrays = parts.get(f"{number}.{k}.next", {})
                group.stack.restore(k, its_arrays, course.accuracies_percent)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"the state lacks what belongs to it ({error})") from error
    return seconds
