"""Where values come from, and what they become."""

from pathlib import Path

from bankd.config import Config, LoadedConfig, Role, load_config
from bankd.config.render import annotated_file, reference_page, shown
from bankd.config.settings import SETTINGS
from tests.config.test_faults import GOOD

ROOT = Path(__file__).resolve().parent.parent.parent


def load(
    directory: Path,
    text: str = GOOD,
    *,
    overrides: list[str] | None = None,
    environ: dict[str, str] | None = None,
    role: Role | None = Role.NODE,
) -> LoadedConfig:
    file = directory / "f.toml"
    file.write_text(text)
    return load_config(str(file), overrides=overrides or [], environ=environ or {}, role=role)


def test_units_become_seconds_and_bytes(tmp_path: Path) -> None:
    text = f"""{GOOD}
[raft]
heartbeat = "150ms"
election_timeout = "1.5s"
[storage]
segment_size = "1.5MiB"
min_free = "0B"
[limits]
drain_timeout = "2m"
"""
    config = load(tmp_path, text).config
    assert (config.raft.heartbeat_s, config.raft.election_timeout_s) == (0.15, 1.5)
    assert (config.storage.segment_size_bytes, config.storage.min_free_bytes) == (1536 * 1024, 0)
    assert config.limits.drain_timeout_s == 120.0


def test_bootstrap_keeps_its_order_and_advertise_defaults_to_the_listening_address(tmp_path: Path) -> None:
    config = load(tmp_path).config
    assert list(config.cluster.bootstrap.items()) == [
        ("n1", "127.0.0.1:7401"),
        ("n2", "127.0.0.1:7411"),
        ("n3", "127.0.0.1:7421"),
    ]
    assert config.listen.advertise == config.listen.address == "127.0.0.1:7401"


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    text = f"{GOOD}[raft]\nheartbeat = '20ms'\n"
    environ = {"BANKD_RAFT__HEARTBEAT": "30ms"}
    cases = [
        (load(tmp_path), 0.1, "default"),
        (load(tmp_path, text), 0.02, f"{tmp_path}/f.toml:10"),
        (load(tmp_path, text, environ=environ), 0.03, "env BANKD_RAFT__HEARTBEAT"),
        (load(tmp_path, text, environ=environ, overrides=["raft.heartbeat=40ms"]), 0.04, "--set"),
        (load(tmp_path, overrides=["raft.heartbeat=40ms", "raft.heartbeat = 50ms"]), 0.05, "--set"),
    ]
    for loaded, seconds, origin in cases:
        assert (loaded.config.raft.heartbeat_s, loaded.origins["raft.heartbeat"]) == (seconds, origin)


def test_text_from_flags_takes_the_type_of_its_key(tmp_path: Path) -> None:
    overrides = [
        "limits.max_in_flight=7",
        "listen.address=10.0.0.4:7401",
        "listen.allow_remote_plaintext=true",
        "cluster.bootstrap=n1=10.0.0.4:7401, n2=[fe80::1]:7401",
    ]
    config = load(tmp_path, overrides=overrides).config
    assert config.limits.max_in_flight == 7
    assert config.listen.allow_remote_plaintext is True
    assert config.cluster.bootstrap == {"n1": "10.0.0.4:7401", "n2": "[fe80::1]:7401"}


def test_foreign_environment_variables_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, environ={"BANKD_TRACE": "1", "PATH": "/bin", "XBANKD_RAFT__HEARTBEAT": "1"})


def test_gateway_alone_needs_no_node(tmp_path: Path) -> None:
    text = '[cluster]\nname = "main"\n[gateway]\nendpoints = ["[::1]:7401"]\n'
    for role in (Role.GATEWAY, None):
        assert load(tmp_path, text, role=role).config.gateway.endpoints == ("[::1]:7401",)


def test_new_file_is_a_right_one_and_shows_every_key_with_its_default(tmp_path: Path) -> None:
    as_written = load(tmp_path, annotated_file(), role=None)
    uncommented = annotated_file().replace("\n#", "\n").splitlines()
    all_set = load(
        tmp_path, "\n".join(line for line in uncommented if " = " in line or line.startswith("[")), role=None
    )
    assert as_written.config == all_set.config
    assert "default" not in all_set.origins.values()
    assert all_set.config.raft == Config().raft


def test_print_shows_each_value_and_where_it_came_from(tmp_path: Path) -> None:
    lines = list(shown(load(tmp_path, overrides=["limits.max_in_flight=7"])))
    assert [line.split(" = ")[0] for line in lines] == list(SETTINGS)
    assert [line.split() for line in lines if "# default" not in line][:2] == [
        ["node.id", "=", '"n1"', "#", f"{tmp_path}/f.toml:2"],
        ["node.data_dir", "=", '"data/n1"', "#", f"{tmp_path}/f.toml:3"],
    ]
    assert [line.split() for line in lines if line.endswith("# --set")] == [
        ["limits.max_in_flight", "=", "7", "#", "--set"],
    ]


def test_page_in_docs_is_what_the_classes_say() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == reference_page(), "run `make docs`"
