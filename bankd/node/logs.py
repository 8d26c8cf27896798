"""Write the node's log: one line per event to stderr, for people or as JSON.

Modules log `event_name key=value ...`; the JSON form takes the same line apart by logging's own
fields only, so that both say the same.
"""

import json
import logging
import sys
import time

from bankd.config.settings import LogSection


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
