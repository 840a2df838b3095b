"""Errors that a user can cause and repair.

Each message is one clear sentence that names the thing, its value and what is allowed
(`ParameterError` has one line for each problem). The stages and the command line print it as
`error: ...` and exit with 1; any other exception is a defect of this project and keeps its
traceback.
"""


class SpikejouleError(Exception):
    """Base of every error that a user can cause and repair."""


class ParameterError(SpikejouleError):
    """A parameter is unknown, missing, of the wrong type, or out of its range."""


class DataError(SpikejouleError):
    """The images or labels cannot be had, or are not what they should be."""


class ArtifactError(SpikejouleError):
    """A file that another stage wrote is missing, damaged, or does not fit the others."""


class StoreError(SpikejouleError):
    """The MLflow store cannot be read, or does not hold what is asked of it."""


class LimitError(SpikejouleError):
    """A recorded run needs more energy, or answers worse, than its project allows."""


class ClusterError(SpikejouleError):
    """Jobs cannot be started, or end without having worked."""
