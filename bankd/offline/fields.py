"""How facts look: fields by name, as JSON or as lines, and numbers with their words."""

from collections.abc import Iterator

from bankd.storage.identity import Identity

Json = dict[str, object]


def field_lines(fields: Json) -> Iterator[str]:
    """One line for each field; what is empty has none."""
    for key, value in fields.items():
        if value not in ([], {}, None):
            yield f"{key:<16}{_shown(value)}"


def identity_json(identity: Identity) -> Json:
    restored_from = {"restored_from": identity.origin.hex()} if identity.origin else {}
    return {
        "cluster": identity.cluster,
        "cluster_id": f"{identity.cluster_id:016x}",
        "node_id": identity.node_id,
        "incarnation": f"{identity.incarnation:016x}",
        **restored_from,
    }


def counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "NO"
        case list():
            return " ".join(value)
        case dict():
            return " ".join(f"{key}={one}" for key, one in value.items())
        case _:
            return str(value)
