"""The energy of work that several processes did, one after the other."""

from collections.abc import Sequence

from spikejoule.core.host_energy import EnergyPart, HostEnergy, HostEnergyEntry


def added_up(entries: Sequence[HostEnergyEntry]) -> HostEnergyEntry:
    """The sum over the processes, by device; unavailable where it is in one of them.

    What a process spent after the last entry that it left is in no sum, and `method` says so. The
    watts of an idle machine are the mean over the time. A single entry stays as it is.
    """
    if len(entries) == 1:
        return entries[0]
    by_device: dict[str, list[tuple[EnergyPart, float]]] = {}
    for entry in entries:
        for part in entry.parts:
            by_device.setdefault(part.device, []).append((part, entry.seconds))
    parts = tuple(_of_device(parts, len(entries)) for parts in by_device.values())
    return HostEnergy(sum(entry.seconds for entry in entries), parts).as_entry()


def _of_device(parts: Sequence[tuple[EnergyPart, float]], n_processes: int) -> EnergyPart:
    first = parts[0][0]
    for part, _ in parts:
        if part.energy_j is None:
            return part
    idle_j = [seconds * part.idle_w for part, seconds in parts if part.idle_w is not None]
    has_idle = len(idle_j) == len(parts)
    energy_j = sum(part.energy_j or 0.0 for part, _ in parts)
    seconds = sum(of for _, of in parts)
    return EnergyPart(
        device=first.device,
        kind="measured",
        method=f"{first.method}, added up over {n_processes} processes, without what they spent in "
        "epochs that were cut short",
        energy_j=energy_j,
        idle_w=sum(idle_j) / seconds if has_idle and seconds else None,
        above_idle_j=energy_j - sum(idle_j) if has_idle and seconds else None,
    )
