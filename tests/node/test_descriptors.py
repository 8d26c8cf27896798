"""Whoever connects never takes the descriptors that the node and its peers need."""

import pytest

from bankd.node.descriptors import (
    CLIENTS_MAX,
    FILES_PER_PEER,
    RESERVED_FILES,
    ROOM_MIN,
    UNGREETED_MAX,
    OpenFilesLimited,
    Room,
    room_within,
)


@pytest.mark.parametrize("peers", [0, 2, 8])
@pytest.mark.parametrize("limit", [128, 256, 1024, 4096])
def test_all_connections_together_leave_the_node_its_reserve(limit: int, peers: int) -> None:
    room = room_within(limit, peers=peers)
    assert room.clients + room.ungreeted + FILES_PER_PEER * peers + RESERVED_FILES <= limit
    assert min(room.clients, room.ungreeted) > 0


def test_more_files_than_needed_are_not_used() -> None:
    assert room_within(1_000_000, peers=2) == Room(CLIENTS_MAX, UNGREETED_MAX)


def test_limit_that_leaves_nothing_is_refused_with_the_number_needed() -> None:
    needed = RESERVED_FILES + 2 * FILES_PER_PEER + ROOM_MIN
    room_within(needed, peers=2)
    with pytest.raises(OpenFilesLimited, match=f"a node needs {needed} "):
        room_within(needed - 1, peers=2)
