"""The pieces of protobuf's encoding that we write by hand, to frame bytes that we don't want to touch.

The generated classes would do it too, but what they build they first copy into memory freshly
mapped: 2.4 ms for a message around one MiB that `b"".join` frames in 0.05 ms.
"""

from typing import Final

_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(0x80))


def varint(number: int) -> bytes:
    """A non-negative integer in groups of seven bits, the lowest first."""
    if number < 0x80:
        return _ONE_BYTE[number]
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def varint_tag(field_number: int) -> bytes:
    """What stands before the value of an integer, bool or enum field."""
    return varint(field_number << 3)


def fixed64_tag(field_number: int) -> bytes:
    """What stands before the eight bytes of a fixed64 field, the lowest first."""
    return varint(field_number << 3 | 1)


def bytes_tag(field_number: int) -> bytes:
    """What stands before the length of a field of bytes, a string or a message."""
    return varint(field_number << 3 | 2)


def bytes_field(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content
