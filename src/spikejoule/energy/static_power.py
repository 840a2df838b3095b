"""What a chip draws whatever it computes: a declared assumption beside the counts, in no total."""

from spikejoule.energy.profiles import HardwareProfile


def static_energy(
    profile: HardwareProfile, time_window: int, step_us: float | None
) -> tuple[float, float] | None:
    """pJ of an inference from the least static power to the most; a microwatt microsecond is one.

    Args:
        profile: whose static power it is.
        time_window: steps of an inference.
        step_us: what a step takes on the hardware, in microseconds; None where it is not said.

    Returns:
        None if the profile states no static power, or `step_us` is None.
    """
    if profile.static_uw is None or step_us is None:
        return None
    low, high = profile.static_uw
    return low * step_us * time_window, high * step_us * time_window
