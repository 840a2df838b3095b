"""One measured point of the growth table, and the columns of its CSV."""

from dataclasses import dataclass

COLUMNS = (
    "sweep",
    "value",
    "input_density",
    "engine",
    "seconds_per_batch",
    "microseconds_per_image",
)


@dataclass(frozen=True)
class Point:
    """One engine at one place of one sweep.

    input_density: expected share of (step, input) places of a batch that hold a spike.
    """

    sweep: str
    value: float
    input_density: float
    engine: str
    seconds_per_batch: float
    batch_size: int

    def cells(self) -> tuple[str | float, ...]:
        """The row of the CSV."""
        per_image = 1e6 * self.seconds_per_batch / self.batch_size
        return (
            self.sweep, self.value, self.input_density, self.engine, self.seconds_per_batch,
            per_image,
        )  # fmt: skip
