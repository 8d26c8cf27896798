"""The configuration of a node and of a gateway: what may be set, how it is read, how it is shown.

`settings` holds the classes, one field per key; everything else is derived from them: parsing,
faults, the file that `bankd init` writes, docs/configuration.md. Nothing here touches the
environment or the clock: the caller passes `environ` in.
"""

from bankd.config.load import LoadedConfig, load_config
from bankd.config.settings import Config, Role

__all__ = ["Config", "LoadedConfig", "Role", "load_config"]
