"""Compare what `price` counts with the operations that PyTorch runs."""

import os

import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.pricing.modules.neurons import Known
from spikejoule.pricing.report import Report
from tests.interop.recorded_products import ProductRecord

RUNS_ALL = os.environ.get("SPIKEJOULE_CAMPAIGN") == "1"
"""Whether the slow campaign runs, or a part of it."""


def compared_report(model: nn.Module, samples: Tensor) -> Report:
    """Price a model that takes all steps, and recount its products.

    Returns:
        The report. Its counts are those of the record; if they are lower, then it names
        what is missing.

    Raises:
        AssertionError: counts are wrong, or nothing is named.
    """
    report = spikejoule.price(model, samples, time_axis=0, loop="model", progress=False)
    # Without a split by sample, there is the mean alone.
    n_samples = report.analysis.inputs.n_images
    means = (report.activity.events.mean(), report.activity.macs.mean())
    counts = tuple(round(n_samples * mean) for mean in means)
    Known.of(model).reset(model)
    record = ProductRecord(model)
    with torch.no_grad(), record:
        model(samples)
    recorded = (record.events, record.macs)
    assert sum(recorded) > 0
    if counts != recorded:
        assert sum(counts) < sum(recorded)
        assert report.not_counted, (counts, recorded)
    return report
