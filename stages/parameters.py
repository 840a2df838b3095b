"""parameters: check params.yaml as a whole, before any other stage runs.

Every stage checks the values that it reads. This one refuses a wrong value before a
long training that does not read it, and values of several sections that misfit. It has
no outputs, so a change of parameters reruns only the stages that read them.
"""

from collections.abc import Mapping
from pathlib import Path

from spikejoule.params import Params


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Do nothing more: reading `params` has checked them."""
