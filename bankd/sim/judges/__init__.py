"""Independent bookkeeping over a run: every invariant of the contract, judged by name."""

from bankd.sim.judges.judges import Judges, drift_ppm_max
from bankd.sim.judges.violation import Violation

__all__ = ["Judges", "Violation", "drift_ppm_max"]
