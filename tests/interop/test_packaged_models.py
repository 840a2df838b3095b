"""Models of simulators and of torchvision: every product of PyTorch is counted.

`check` passes on them without a list of exceptions, or names only what computes.
SPIKEJOULE_CAMPAIGN=1 runs all models; without it, a few small ones.
"""

import math

import pytest
import torch

from tests.interop.compared_counts import RUNS_ALL, compared_report
from tests.interop.packaged_models import MODELS, QUICK

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("name", MODELS if RUNS_ALL else QUICK)
def test_a_packaged_model(name: str) -> None:
    case = MODELS[name]
    pytest.importorskip(case.package, reason="needs the extra interop")
    torch.manual_seed(3)
    samples = (torch.rand(2, 3, *case.shape) < 0.5).float()
    report = compared_report(case.make().eval(), samples)
    named = {name for part in report.own_not_counted for name in part.names}
    assert named == {*case.named}
    report.check(budget_nj=math.inf, accept_uncounted=case.named)
