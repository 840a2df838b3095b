"""search.yaml: what is searched, for how long, by which energy, and what trials draw.

Keys and ranges are those of params.yaml (`entries`). Whether values go together is
checked on the whole set of parameters, for each trial.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from spikejoule.baselines.settings import SHARED_KEYS
from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import (
    Line,
    ParameterSection,
    Real,
    Value,
    Values,
    flat,
)
from spikejoule.energy.prices import HardwareProfile
from spikejoule.params import Params, parse_params
from spikejoule.search.entries import FAMILY, drawn, problem_of

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

CONVENTIONAL: Final = {
    *("model.hidden", "model.bias", "model.weight_bits", "model.state_bits"),
    *("train.pruned_fraction", "train.prune_start", "train.prune_end"),
    *(f"train.{name}" for name in SHARED_KEYS),
    *("baseline.lr", "baseline.weight_decay", "baseline.label_smoothing"),
}
"""Keys with an effect on a conventional trial: some shared, some of its own."""


class SearchSettings(ParameterSection):
    """The content of search.yaml.

    Attributes:
        study: name; a study that exists is continued.
        trials: number of trainings.
        side: kind of networks. A conventional network gets the hidden layer, widths and
            pruning that the same parameters give a spiking one, so that one space
            serves both.
        processor_minutes: processor time of all trials together, after which none
            begins; None for any.
        energy: id of the price list for the second objective.
        fixed: parameters that differ from params.yaml in all trials, by full key;
            `space` takes precedence.
        space: parameters that are searched, by full key: a list of values, or a range.
    """

    study: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="a name of 1 to 100 letters, digits, dots, dashes and underscores",
    )
    trials: int = Field(ge=1, le=100_000)
    side: Literal["spiking", "conventional"] = "spiking"
    processor_minutes: Real | None = Field(default=None, gt=0)
    energy: Line = Field(description="the id of a price list")
    fixed: dict[str, Any] = Field(description="parameters by full key, or {}")
    space: dict[str, Any] = Field(
        min_length=1,
        description="parameters by full key, each a list of values or a range "
        "{from: A, to: B}",
    )


@dataclass(frozen=True)
class SearchSpace:
    """What trials draw, and what all of them share.

    Attributes:
        base: parameters of every trial, by section, `fixed` included.
        entries: the lists and ranges of search.yaml, by full key.
        profile: the price list of the second objective.
        side: kind of networks.
    """

    base: Mapping[str, Any]
    entries: Mapping[str, Any]
    profile: HardwareProfile
    side: str = "spiking"

    def draw(self, trial: "BaseTrial") -> Values:
        """Draw a value for each entry, by full key."""
        return {
            key: drawn(trial, key, content) for key, content in self.entries.items()
        }

    def params(self, values: Mapping[str, Value]) -> Params:
        """Return all parameters of a trial.

        Those of a conventional trial have its network as the only member of the family.

        Raises ParameterError if the values do not go together, no engine runs them, or
        the price list does not cover them.
        """
        whole = with_values(self.base, values)
        params = parse_params(whole)
        hidden = params.model.hidden
        bits = params.model.weight_bits
        if not self.profile.eligibility.runs(bits):
            raise ParameterError(
                f"model.weight_bits: {bits} is not what energy: {self.profile.id} "
                f"prices, whose numbers are {self.profile.numbers}"
            )
        if self.side == "spiking":
            return params
        if len(hidden) > 1 or params.data.samples_are == "events":
            raise ParameterError(
                f"model.hidden: {shown([*hidden])} is not allowed in a search of "
                "conventional networks; allowed: one hidden layer, on images"
            )
        has_bias = params.model.chosen_neuron.has_bias
        members = [*hidden], [params.train.pruned_fraction], [bits], [has_bias]
        family = dict(zip(FAMILY, members, strict=True))
        return parse_params(with_values(whole, family))


def search_space(
    settings: SearchSettings, params: Params, profile: HardwareProfile
) -> SearchSpace:
    """Build the space of a search.yaml, without entries that change nothing.

    Args:
        settings: the content of the file.
        params: values of the parameters that the file does not set.
        profile: the price list named by `settings.energy`.

    Raises:
        ParameterError: one line for each entry that is not allowed.
    """
    problems = []
    for part, contents in (("fixed", settings.fixed), ("space", settings.space)):
        for key, content in contents.items():
            problem = problem_of(key, content, part)
            if problem:
                problems.append(f"{part}.{problem}")
    entries = {}
    for key, content in settings.space.items():
        is_for_spiking = not key.startswith("baseline.")
        is_for_conventional = key in CONVENTIONAL
        if is_for_spiking if settings.side == "spiking" else is_for_conventional:
            entries[key] = content
    if not entries:
        problems.append(
            f"space has no parameter that changes a network of side {settings.side}"
        )
    if problems:
        raise ParameterError("\n".join(problems))
    base = with_values(params.model_dump(mode="json"), settings.fixed)
    return SearchSpace(base, entries, profile, settings.side)


@dataclass(frozen=True)
class Search:
    """A search and where it runs; workers receive it as a whole.

    Attributes:
        storage: URL of the study's database: ``sqlite:///FILE`` or
            ``postgresql://...``.
        settings: the content of search.yaml.
        space: what trials draw.
        data: SHA-256 of the artifacts, by name.
        paths: absolute paths of the artifacts, by name.
        folder: folder for the search's own files.
        cluster: ``local`` or ``slurm``.
        workers: number of parallel workers.
        threads: CPU threads of each worker.
        minutes: time limit of a Slurm job; the job is requeued when it expires.
        slurm: further sbatch options, by name without the dashes.
    """

    storage: str
    settings: SearchSettings
    space: SearchSpace
    data: Mapping[str, str]
    paths: Mapping[str, Path]
    folder: Path
    cluster: str = "local"
    workers: int = 1
    threads: int = 1
    minutes: int = 60
    slurm: Mapping[str, str] = field(default_factory=dict)

    @property
    def specification(self) -> dict[str, Any]:
        """What all trials share, as plain values by full name."""
        content = {
            "": self.space.base,
            "space": self.space.entries,
            "side": self.settings.side,
            "energy": self.settings.energy,
            "prices": {
                term: str(price) for term, price in self.space.profile.prices.items()
            },
            "data": self.data,
        }
        plain: dict[str, Any] = json.loads(json.dumps(flat(content)))
        return plain


def with_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy parameters by section, and set some values by full key."""
    made = deepcopy(dict(base))
    for key, value in values.items():
        section, _, name = key.partition(".")
        made[section][name] = value
    return made
