"""Programs beside Python that a test needs.

On a desk a missing one skips the test and says what to install. Under CI (CI set and not empty) it
fails it: a skipped test proves nothing, and nobody reads the skips of a green run.
"""

import os
import shutil

import pytest


def needs(program: str, *, package: str | None = None) -> str:
    """Return the path of `program`, or skip the running test; under CI, fail it.

    `package` is the Debian package to name in the message where it is called otherwise.
    """
    path = shutil.which(program)
    if path is not None:
        return path
    message = f"{program} is not installed (on Debian: apt-get install {package or program})"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
