"""How many files this process may have open, and how many of them connections may take.

A log that cannot open its next segment ends the node. So connections never take the last
descriptors: what the node itself needs is set aside first, then what its peers need, and the rest is
divided between clients and those who have not said yet what they are (docs/reliability.md, N09).
"""

import resource
from typing import ClassVar, Final

import attrs

from bankd.errors import Exit, NodeError

# For the node itself: about ten files of the runtime, the lock, segments of the log (three at a roll), listeners,
# and what a look-up of names opens for a moment. Twice that, and more, because running out ends the node.
RESERVED_FILES: Final = 64
FILES_PER_PEER: Final = 4  # its connection and ours, each beside the forerunner that is being closed
CLIENTS_MAX: Final = 1024
UNGREETED_MAX: Final = 256
ROOM_MIN: Final = 16  # with less, a node would refuse people all day
FILES_WHEN_UNLIMITED: Final = 65_536  # not every kernel takes "unlimited" for an answer


class OpenFilesLimited(NodeError):
    """The process may not open as many files as a node needs."""

    reason: ClassVar[str] = "OPEN_FILES_LIMITED"
    exit_code: ClassVar[Exit] = Exit.UNHEALTHY


@attrs.frozen
class Room:
    """How many connections may be open at a time: clients', and those that have not said Hello."""

    clients: int
    ungreeted: int


def raise_open_files_max() -> int:
    """Raise this process's limit of open files as far as the system allows, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, FILES_WHEN_UNLIMITED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft  # some systems allow less than they say
    return wanted


def room_within(open_files_max: int, *, peers: int) -> Room:
    """Divide the limit.

    Raises:
      OpenFilesLimited: it leaves hardly anything.
    """
    free = open_files_max - RESERVED_FILES - FILES_PER_PEER * peers
    if free < ROOM_MIN:
        needed = open_files_max - free + ROOM_MIN
        raise OpenFilesLimited(f"{open_files_max} open files are allowed, a node needs {needed} (raise ulimit -n)")
    ungreeted = min(UNGREETED_MAX, free // 4)
    return Room(clients=min(CLIENTS_MAX, free - ungreeted), ungreeted=ungreeted)
