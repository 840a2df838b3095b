"""Surrogate derivatives of the spike function, by name, each with its source.

A surrogate is a function of ``x = v - threshold`` and one ``slope``. This module names them and
states their formulas; each engine computes them in its own way, so that one checks the other.
"""

from dataclasses import dataclass

from spikejoule.foundation.errors import ParameterError


@dataclass(frozen=True)
class Surrogate:
    """One surrogate derivative.

    Attributes:
        name: how parameters name it.
        formula: the derivative as a function of x = v - threshold and the slope.
        default_slope: the slope that the source uses.
        source: publication.
    """

    name: str
    formula: str
    default_slope: float
    source: str


SURROGATES: dict[str, Surrogate] = {
    surrogate.name: surrogate
    for surrogate in (
        Surrogate(
            "constant",
            "slope",
            0.3,
            "straight-through estimator of the seed notebook; Bengio et al. 2013, arXiv:1308.3432",
        ),
        Surrogate(
            "arctangent",
            "(slope / 2) / (1 + (pi / 2 * slope * x)^2)",
            2.0,
            "Fang et al., ICCV 2021, arXiv:2007.05785",
        ),
        Surrogate(
            "fast_sigmoid",
            "1 / (1 + slope * |x|)^2",
            10.0,
            "Zenke and Ganguli, Neural Computation 30(6), 2018, doi:10.1162/neco_a_01086",
        ),
        Surrogate(
            "sigmoid",
            "slope * sigmoid(slope * x) * (1 - sigmoid(slope * x))",
            4.0,
            "Zenke and Vogels, Neural Computation 33(4), 2021, doi:10.1162/neco_a_01367",
        ),
        Surrogate(
            "triangle",
            "slope * max(0, 1 - |x|)",
            0.3,
            "Bellec et al., NeurIPS 2018, arXiv:1803.09574",
        ),
        Surrogate(
            "boxcar",
            "slope if |x| < 1 / (2 * slope) else 0",
            1.0,
            "Wu et al., Frontiers in Neuroscience 12:331, 2018, doi:10.3389/fnins.2018.00331",
        ),
        Surrogate(
            "gaussian",
            "slope / sqrt(2 * pi) * exp(-(slope * x)^2 / 2)",
            2.0,
            "Wu et al., Frontiers in Neuroscience 12:331, 2018, doi:10.3389/fnins.2018.00331",
        ),
    )
}


def get_surrogate(name: str) -> Surrogate:
    """Look a surrogate up by name.

    Raises:
        ParameterError: an unknown name.
    """
    if name not in SURROGATES:
        raise ParameterError(f"surrogate is {name!r}; allowed are {', '.join(SURROGATES)}")
    return SURROGATES[name]
