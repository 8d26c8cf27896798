"""Every way in which a configuration can be wrong, and the line that says so."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bankd.config import Role, load_config
from bankd.errors import ConfigInvalid

GOOD = """\
[node]
id = "n1"
data_dir = "data/n1"
[cluster]
name = "main"
bootstrap = ["n1=127.0.0.1:7401", "n2=127.0.0.1:7411", "n3=127.0.0.1:7421"]
[gateway]
endpoints = ["127.0.0.1:7401"]
"""


def faults_of(
    directory: Path,
    text: str,
    *,
    overrides: list[str] | None = None,
    environ: dict[str, str] | None = None,
    role: Role | None = Role.NODE,
) -> list[str]:
    """The faults found in `text` as the file f.toml, without its directory."""
    file = directory / "f.toml"
    file.write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(str(file), overrides=overrides or [], environ=environ or {}, role=role)
    return [fault.replace(f"{directory}/", "") for fault in caught.value.faults]


ONE_LINE_ADDED = [
    # unknown keys
    ("[raft]\nhearbeat = '1s'", "f.toml:10 raft.hearbeat: is no key of this program (did you mean raft.heartbeat?)"),
    ("[raft]\nlevel = 'info'", "f.toml:10 raft.level: is no key of this program (did you mean log.level?)"),
    ("[log]\nzzz = 1", "f.toml:10 log.zzz: is no key of this program (docs/configuration.md lists them)"),
    ("[tls]\ncert = 'x'", "f.toml:10 tls.cert: is no key of this program (docs/configuration.md lists them)"),
    ("[tls]", "f.toml:9 tls: is no key of this program (docs/configuration.md lists them)"),
    ("[log.x]\ny = 1", "f.toml:9 log.x: is no key of this program (docs/configuration.md lists them)"),
    # wrong types and values
    (
        "[raft]\nheartbeat = 100",
        'f.toml:10 raft.heartbeat: 100 is not a duration (a number and ms, s, m or h, as in "150ms")',
    ),
    (
        "[raft]\nheartbeat = '100'",
        'f.toml:10 raft.heartbeat: "100" is not a duration (a number and ms, s, m or h, as in "150ms")',
    ),
    ("[raft]\nheartbeat = '1ms'", 'f.toml:10 raft.heartbeat: "1ms" is out of bounds (from 10ms to 10s)'),
    (
        "[storage]\nsegment_size = '64MB'",
        'f.toml:10 storage.segment_size: "64MB" is not a size (a number and B, KiB, MiB, GiB or TiB, as in "64MiB")',
    ),
    (
        "[storage]\nsegment_size = '1KiB'",
        'f.toml:10 storage.segment_size: "1KiB" is out of bounds (from 64KiB to 4GiB)',
    ),
    (
        "[limits]\nmax_in_flight = '5'",
        'f.toml:10 limits.max_in_flight: "5" is not a whole number (write it without quotes)',
    ),
    (
        "[limits]\nmax_in_flight = true",
        "f.toml:10 limits.max_in_flight: true is not a whole number (write it without quotes)",
    ),
    ("[limits]\nmax_in_flight = 0", "f.toml:10 limits.max_in_flight: 0 is out of bounds (from 1 to 1000000)"),
    ("[log]\nlevel = 'loud'", 'f.toml:10 log.level: "loud" is not known (one of debug, info, warning, error)'),
    (
        "[listen]\nadvertise = 'n1'",
        'f.toml:10 listen.advertise: "n1" is not an address (host and port, as in "127.0.0.1:7401" or "[::1]:7401")',
    ),
    (
        "[listen]\nallow_remote_plaintext = 'yes'",
        'f.toml:10 listen.allow_remote_plaintext: "yes" is neither true nor false (write it without quotes)',
    ),
    ("[[raft]]\nheartbeat = '1s'", "f.toml:9 raft: [a table] is not a table (write [raft] and its keys below)"),
    # values that do not go together
    (
        "[raft]\nheartbeat = '200ms'\nelection_timeout = '500ms'",
        "f.toml:10 raft.heartbeat: is more than a third of raft.election_timeout (at most 167ms)",
    ),
    (
        "[raft]\nelection_timeout = '200ms'",
        "f.toml:10 raft.heartbeat: is more than a third of raft.election_timeout (at most 67ms)",
    ),
    (
        "[listen]\naddress = '0.0.0.0:7401'\nallow_remote_plaintext = true",
        "f.toml:10 listen.advertise: others cannot dial 0.0.0.0:7401 (give the address that they reach this node by)",
    ),
    (
        "[listen]\naddress = '127.0.0.1:7402'",
        "f.toml:10 listen.advertise: 127.0.0.1:7402 is not what cluster.bootstrap says of n1 (127.0.0.1:7401)",
    ),
    (
        "[listen]\naddress = '10.0.0.4:7401'\nadvertise = '127.0.0.1:7401'",
        "f.toml:10 listen.address: 10.0.0.4:7401 is beyond loopback and traffic is not encrypted "
        "(to accept that, set listen.allow_remote_plaintext = true)",
    ),
]


@pytest.mark.parametrize(("added", "fault"), ONE_LINE_ADDED)
def test_fault_names_its_line_its_key_and_what_would_be_right(tmp_path: Path, added: str, fault: str) -> None:
    assert faults_of(tmp_path, f"{GOOD}{added}\n") == [fault]


BROKEN = [("[raft]\nheartbeat = ", 10), ("[raft]\nheartbeat = '1s'\nheartbeat = '2s'", 11), ("[raft", 9), ("x = [", 10)]


@pytest.mark.parametrize(("added", "line"), BROKEN)
def test_broken_toml_is_refused_where_it_breaks(tmp_path: Path, added: str, line: int) -> None:
    (fault,) = faults_of(tmp_path, f"{GOOD}{added}\n")
    assert fault.startswith(f"f.toml:{line} ")
    assert fault.endswith(" (the file is not TOML from here on)")


@pytest.mark.parametrize(
    "hostile", [f"x = {'9' * 5000}", f"x = {'[' * 5000}", f"x = {'{a=' * 5000}"], ids=lambda t: t[:6]
)
def test_toml_that_chokes_the_parser_is_refused_in_words(tmp_path: Path, hostile: str) -> None:
    (fault,) = faults_of(tmp_path, f"{GOOD}{hostile}\n")
    assert re.match(r"f\.toml:\d* ", fault)


FRAGMENTS = [
    "[raft]",
    "[",
    "]",
    "heartbeat",
    "=",
    "'1s'",
    '"""',
    "\n",
    "#",
    "{",
    "}",
    ",",
    "1",
    ".",
    "log",
    "[[",
    "'",
    "a",
]


@given(st.lists(st.sampled_from(FRAGMENTS)).map("".join))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_loaded_or_refused_in_words(tmp_path: Path, text: str) -> None:
    assert faults_of(tmp_path, text)  # none of them can name a node


ONE_LINE_CHANGED = [
    ('id = "n1"', 'id = "n9"', "f.toml:2 node.id: n9 is not in cluster.bootstrap (one of n1, n2, n3)"),
    (
        'id = "n1"',
        'id = "n 1"',
        'f.toml:2 node.id: "n 1" is not a name (1 to 64 letters, digits, ".", "_", "-", as in "n1")',
    ),
    ('id = "n1"', "", 'f.toml:1 node.id: is missing (in [node]: id = "n1")'),
    ("n2=", "n1=", "f.toml:6 cluster.bootstrap: n1 is listed twice (each node once)"),
    (
        '"n1=',
        "".join(f'"x{number}=127.0.0.1:{number}", ' for number in range(1, 8)) + '"n1=',
        "f.toml:6 cluster.bootstrap: 10 nodes are too many (a cluster has 1 to 9)",
    ),
    ("7411", "7401", "f.toml:6 cluster.bootstrap: two nodes have the same address (each its own)"),
    ("n2=", "n2:", 'f.toml:6 cluster.bootstrap: "n2:127.0.0.1:7411" does not name a node (write "id=host:port")'),
    (
        ":7421",
        "",
        'f.toml:6 cluster.bootstrap: "127.0.0.1" is not an address (host and port, as in "127.0.0.1:7401" or "[::1]:7401")',
    ),
]


@pytest.mark.parametrize(("old", "new", "fault"), ONE_LINE_CHANGED)
def test_fault_in_what_makes_the_cluster(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert faults_of(tmp_path, GOOD.replace(old, new, 1)) == [fault]


def test_all_faults_are_reported_together_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """\
[raft]
heartbeat = 3
[node]
id = "n1"
[log]
formatt = "red"
"""
    assert faults_of(tmp_path, text, overrides=["log.format"], environ={"BANKD_LOG__LEVEL": "loud"}) == [
        'f.toml:2 raft.heartbeat: 3 is not a duration (a number and ms, s, m or h, as in "150ms")',
        'f.toml:3 node.data_dir: is missing (in [node]: data_dir = "data/n1")',
        "f.toml:6 log.formatt: is no key of this program (did you mean log.format?)",
        "--set log.format: has no value (write --set key=value)",
        'f.toml cluster.name: is missing (in [cluster]: name = "main")',
        'f.toml cluster.bootstrap: is missing (in [cluster]: bootstrap = ["n1=127.0.0.1:7401", "n2=127.0.0.1:7411", '
        '"n3=127.0.0.1:7421"])',
        'env BANKD_LOG__LEVEL log.level: "loud" is not known (one of debug, info, warning, error)',
    ]


def test_fault_from_the_environment_or_a_flag_names_its_place(tmp_path: Path) -> None:
    found = faults_of(
        tmp_path,
        GOOD,
        overrides=["raft.heartbeet=1s"],
        environ={"BANKD_LIMITS__MAX_IN_FLIGHT": "many", "BANKD_RAFFT__HEARTBEAT": "1s"},
    )
    assert found == [
        "env BANKD_RAFFT__HEARTBEAT rafft.heartbeat: is no key of this program (did you mean raft.heartbeat?)",
        "--set raft.heartbeet: is no key of this program (did you mean raft.heartbeat?)",
        'env BANKD_LIMITS__MAX_IN_FLIGHT limits.max_in_flight: "many" is not a whole number (write it without quotes)',
    ]


def test_faulty_value_causes_no_second_fault_about_its_combinations(tmp_path: Path) -> None:
    text = GOOD.replace('"n1=127.0.0.1:7401", ', "7401, ")
    assert faults_of(tmp_path, text) == ['f.toml:6 cluster.bootstrap: 7401 does not name a node (write "id=host:port")']


def test_gateway_requires_endpoints_and_a_cluster_but_no_node(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "[gateway]\nlisten = '127.0.0.1:50051'\n", role=Role.GATEWAY) == [
        'f.toml:1 gateway.endpoints: is missing (in [gateway]: endpoints = ["127.0.0.1:7401", "127.0.0.1:7411", "127.0.0.1:7421"])',
        'f.toml cluster.name: is missing (in [cluster]: name = "main")',
    ]


def test_gateway_beyond_loopback_is_refused_unless_asked_for_by_name(tmp_path: Path) -> None:
    text = f"{GOOD}listen = '0.0.0.0:50051'\n"
    assert faults_of(tmp_path, text, role=Role.GATEWAY) == [
        "f.toml:9 gateway.listen: 0.0.0.0:50051 is beyond loopback and traffic is not encrypted "
        "(to accept that, set gateway.allow_remote_plaintext = true)"
    ]


def test_gateway_on_the_port_of_its_node_is_refused_where_both_are_checked(tmp_path: Path) -> None:
    text = f"{GOOD}listen = '127.0.0.1:7401'\n"
    assert faults_of(tmp_path, text, role=None) == [
        "f.toml:9 gateway.listen: is the node's own listen.address (give the gateway another port)"
    ]


def test_unreadable_files_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"none\.toml: cannot be read: No such file"):
        load_config(str(tmp_path / "none.toml"), environ={})
    with pytest.raises(ConfigInvalid, match="cannot be read: Is a directory"):
        load_config(str(tmp_path), environ={})
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# \xe9")
    with pytest.raises(ConfigInvalid, match="byte 2 is not UTF-8"):
        load_config(str(latin), environ={})
