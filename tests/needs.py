"""Programs beside Python, and rights, that a test needs.

On a desk a missing one skips the test and says what to install. Under CI (CI set and not empty) it
fails it: a skipped test proves nothing, and nobody reads the skips of a green run.
"""

import os
import shutil
from typing import NoReturn

import pytest


def lacks(message: str) -> NoReturn:
    """Skip the running test for want of something; under CI, fail it."""
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def needs_root() -> None:
    if os.geteuid() != 0:
        lacks("this test mounts file systems or makes network namespaces: run it as root")


def needs(program: str, *, package: str | None = None) -> str:
    """Return the path of `program`, or skip the running test; under CI, fail it.

    `package` is the Debian package to name in the message where it is called otherwise.
    """
    path = shutil.which(program)
    if path is not None:
        return path
    lacks(f"{program} is not installed (on Debian: apt-get install {package or program})")
