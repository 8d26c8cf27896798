"""The published API from another language: what a Node.js program sees of bank.v1."""

import subprocess
from pathlib import Path

import pytest

from tests.needs import needs

PACKAGES = ("@grpc/grpc-js", "@grpc/proto-loader")
SCRIPT = Path(__file__).with_name("behaviours.mjs")
PROTO = Path(__file__).parents[2] / "proto" / "bank.proto"
BEHAVIOURS = 13  # in the script
INSTALL_SECONDS_MAX = 180
RUN_SECONDS_MAX = 120


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages in its node_modules; kept in pytest's cache between runs."""
    needs("node", package="nodejs")
    npm = needs("npm")
    cache: pytest.Cache | None = getattr(pytestconfig, "cache", None)  # absent when its plugin is off
    place = Path(cache.mkdir("node")) if cache is not None else tmp_path_factory.mktemp("node")
    if not all((place / "node_modules" / package).is_dir() for package in PACKAGES):
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(place), *PACKAGES]
        done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False)
        assert done.returncode == 0, f"npm install failed:\n{done.stdout}{done.stderr}"
    return place


def test_the_behaviours_hold_for_a_node_js_client(node_modules: Path, gateway_address: str, name: str) -> None:
    command = [needs("node", package="nodejs"), str(SCRIPT), str(node_modules), str(PROTO), gateway_address, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:3] for line in done.stdout.splitlines()] == ["ok "] * BEHAVIOURS, done.stdout
