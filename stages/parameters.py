"""parameters: check params.yaml as a whole, before any other stage runs.

Every stage checks the values that it reads. This one refuses a wrong value before a
long training that does not read it, and values of several sections that misfit. It has
no outputs, so a change of parameters reruns only the stages that read them.
"""

from collections.abc import Mapping
from pathlib import Path

from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.params import Params


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Check that the price lists exist; reading `params` has checked all else."""
    profiles = load_profiles(paths["hardware"])
    for name in ("profile", "arithmetic_profile"):
        chosen = getattr(params.energy_report, name)
        select_profile(profiles, chosen, f"energy_report.{name}")
