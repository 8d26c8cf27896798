"""Write the node's log: one line per event to stderr, for people or as JSON.

Modules log `event_name key=value ...`; the JSON form takes the same line apart by logging's own
fields only, so that both say the same. What others can cause as often as they like goes through a
`RationedLog`, so that nobody fills the disk with our words.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Final

from bankd.config.settings import LogSection

RATIONED_LINES_MAX: Final = 10  # a second: enough to see what goes on, about 200 MB a day at worst


class RationedLog:
    """Warnings, `lines_max` a second at most; how many were held back is said with the next one."""

    def __init__(self, log: logging.Logger, now_s: Callable[[], float], *, lines_max: int = RATIONED_LINES_MAX) -> None:
        self._lines_max = lines_max
        self._log = log
        self._now_s = now_s
        self._second = 0
        self._lines = 0  # in that second, held back or not

    def warning(self, message: str, *arguments: object) -> None:
        second = int(self._now_s())
        if second != self._second:
            held_back = max(self._lines - self._lines_max, 0)
            self._second, self._lines = second, 0
            if held_back:
                self._log.warning("lines_held_back count=%d", held_back)
        self._lines += 1
        if self._lines <= self._lines_max:
            self._log.warning(message, *arguments)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, event, detail; stack where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        event, _, detail = record.getMessage().partition(" ")
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
            "detail": detail,
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO bankd.node.links peer_connected peer=n2`."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")


def configure_logging(section: LogSection) -> None:
    """Send everything at or above the configured level to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if section.format == "json" else TextFormatter())
    logging.basicConfig(level=section.level.upper(), handlers=[handler], force=True)
