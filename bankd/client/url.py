"""Read a client's settings from one URL: bank://host:port,host:port/cluster?timeout=2s&max_in_flight=64."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

SCHEME: Final = "bank"
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}


def parse_url(url: str) -> dict[str, object]:
    """The keyword arguments that the URL stands for.

    Raises:
      ValueError: another scheme, no host, or a setting that is not known or cannot be.
    """
    parts = urlsplit(url)
    if parts.scheme != SCHEME:
        raise ValueError(f"{url!r} does not begin with {SCHEME}://")
    if not parts.netloc:
        raise ValueError(f"{url!r} names no host")
    settings: dict[str, object] = {"endpoints": parts.netloc}
    cluster = parts.path.strip("/")
    if cluster:
        settings["cluster"] = cluster
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _SETTINGS:
            raise ValueError(f"{name!r} is no setting of a URL; known are {', '.join(_SETTINGS)}")
        keyword, read = _SETTINGS[name]
        settings[keyword] = read(text)
    return settings


def _duration_s(text: str) -> float:
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    number = text.removesuffix(unit)
    if not unit or not number.replace(".", "", 1).isdecimal():
        raise ValueError(f"{text!r} is no duration such as 2s or 150ms")
    return float(number) * _UNITS[unit]


_SETTINGS: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "timeout": ("timeout_s", _duration_s),
    "max_in_flight": ("max_in_flight", int),
}
