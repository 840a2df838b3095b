"""The attributes of a trial in the study."""

from typing import Any, Final

NUMBER: Final = "number"
"""Trial attribute: the number of its first attempt."""

ENDED: Final = "ended"
"""Trial attribute: its `parameters` by full key, its `processor_seconds`, and either
`metrics` and `trained_sha256` (`trial.run_trial`) or the `reason` it failed."""


def number_of(trial: Any) -> int:
    """Return the number of a trial in the search: that of its first attempt."""
    return int(trial.user_attrs.get(NUMBER, trial.number))
