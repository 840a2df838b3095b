"""Figures as PNG bytes; the only package that imports matplotlib.

Every function turns values into the bytes of a PNG: no file, no global state, no display, and the
same bytes for the same values. Colours are those of Okabe and Ito, which people with any common
colour blindness can tell apart; every axis has its unit; the title states what the figure shows,
and the line below it the data that it was measured on. What a chart shows that the page shows too
is said once, in `charts`.
"""

from spikejoule.report.figures.classification import confusion_matrix, per_class_accuracy
from spikejoule.report.figures.front import accuracy_front
from spikejoule.report.figures.raster import spike_raster
from spikejoule.report.figures.search import search_front
from spikejoule.report.figures.training import training_curves

__all__ = [
    "accuracy_front",
    "confusion_matrix",
    "per_class_accuracy",
    "search_front",
    "spike_raster",
    "training_curves",
]
