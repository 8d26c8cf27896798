"""Every planted bug, by name."""

from typing import Final

from tests.planted.bug import Bug
from tests.planted.in_consensus import BUGS_IN_CONSENSUS
from tests.planted.in_replicas import BUGS_IN_REPLICAS
from tests.planted.in_snapshots import BUGS_IN_SNAPSHOTS
from tests.planted.in_the_ledger import BUGS_IN_THE_LEDGER
from tests.planted.in_whole_programs import BUGS_IN_WHOLE_PROGRAMS
from tests.planted.on_disks import BUGS_ON_DISKS

_ALL: Final = (
    *BUGS_IN_CONSENSUS,
    *BUGS_IN_REPLICAS,
    *BUGS_IN_THE_LEDGER,
    *BUGS_ON_DISKS,
    *BUGS_IN_SNAPSHOTS,
    *BUGS_IN_WHOLE_PROGRAMS,
)
BUGS: Final[dict[str, Bug]] = {planted.name: planted for planted in _ALL}

assert len(BUGS) == len(_ALL), "two bugs of one name"
