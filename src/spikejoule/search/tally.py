"""What became of the trials of a study: how many are done, and which are to be run again.

A trial that was killed or handed back is run again as a new trial of Optuna's with the same
parameters, so that one of the search's trials is a group of Optuna's: the first, whose number names
the group, and its repetitions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

REPEATS = "repeats"
"""Attribute of a trial that is run again: the number of the first of its group."""

INVALID = "invalid"
"""Attribute of a trial whose combination is not allowed: in words why. It is no training."""

HANDED_BACK = "handed_back"
"""Attribute of a trial whose worker had to go, and said so: no fault of the trial."""

FAILURE = "failure"
"""Attribute of a trial that cannot be repaired by running it again: in words why."""

LAST_WORDS = "last_words"
"""Attribute of a trial that is run again: what ended its worker, if that could say so."""

STOPPED = "stopped"
"""Attribute of a trial that ended before its last epoch: in words why."""


@dataclass(frozen=True)
class Tally:
    """The groups of a study, invalid ones left out, as Optuna's last trial of each.

    Attributes:
        complete: trained to the end and measured.
        stopped: ended early, as hopeless or because training diverged.
        failed: given up.
        running: with a worker now, or with one that has died unnoticed.
        waiting: to be run again, as soon as a worker is free.
        lost: to be run again, and not in the queue yet.
        invalid: number of combinations that were drawn and not allowed.
        drawn: number of Optuna's trials, whatever became of them.
    """

    complete: tuple[FrozenTrial, ...] = ()
    stopped: tuple[FrozenTrial, ...] = ()
    failed: tuple[FrozenTrial, ...] = ()
    running: tuple[FrozenTrial, ...] = ()
    waiting: tuple[FrozenTrial, ...] = ()
    lost: tuple[FrozenTrial, ...] = ()
    invalid: int = 0
    drawn: int = 0

    @property
    def settled(self) -> int:
        """Trials that are over."""
        return len(self.complete) + len(self.stopped) + len(self.failed)

    @property
    def begun(self) -> int:
        """Trials that count: those that are over, and those that will be."""
        return self.settled + len(self.running) + len(self.waiting) + len(self.lost)


def root_number(trial: FrozenTrial) -> int:
    """The number of the group: that of its first trial."""
    number: int = trial.user_attrs.get(REPEATS, trial.number)
    return number


def tally(trials: Sequence[FrozenTrial], retries: int) -> Tally:
    """Count the trials of a study.

    Args:
        trials: all of Optuna's.
        retries: how often a trial is run again whose worker was killed, before it is given up.
    """
    groups: dict[int, list[FrozenTrial]] = {}
    for trial in sorted(trials, key=lambda one: one.number):
        groups.setdefault(root_number(trial), []).append(trial)
    found: dict[str, list[FrozenTrial]] = {}
    invalid = 0
    for group in groups.values():
        if any(INVALID in trial.user_attrs for trial in group):
            invalid += 1
            continue
        last = group[-1]
        found.setdefault(_state(last, group, retries), []).append(last)
    members = {name: tuple(several) for name, several in found.items()}
    return Tally(**members, invalid=invalid, drawn=len(trials))


def _state(last: FrozenTrial, group: Sequence[FrozenTrial], retries: int) -> str:
    match last.state:
        case TrialState.COMPLETE:
            return "complete"
        case TrialState.PRUNED:
            return "stopped"
        case TrialState.RUNNING:
            return "running"
        case TrialState.WAITING:
            return "waiting"
    if FAILURE in last.user_attrs:
        return "failed"
    kills = sum(
        trial.state == TrialState.FAIL and HANDED_BACK not in trial.user_attrs for trial in group
    )
    return "failed" if kills > retries else "lost"
