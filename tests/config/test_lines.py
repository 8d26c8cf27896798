"""The line of each key, in every place where TOML lets a key stand."""

import pytest

from bankd.config.lines import key_lines

TEXTS = [
    ("a = 1\nb = 2", {"a": 1, "b": 2}),
    ("\n# x = 1\n[s]\n\nk = 1 # [t]", {"s": 3, "s.k": 5}),
    ("raft.heartbeat = '1s'", {"raft.heartbeat": 1}),
    ('[ a . "b" ]\n"c".d = 1', {"a.b": 1, "a.b.c.d": 2}),
    ("'quoted key' = 1", {"quoted key": 1}),
    ('a = """\nb = 1\n"""\nc = 1', {"a": 1, "c": 4}),
    ("a = '''\n[t]\n'''\nc = 1", {"a": 1, "c": 4}),
    ('a = """x\\""" = 1\n"""\nc = 1', {"a": 1, "c": 3}),
    ("a = [\n  'x', # b = 1\n  '[',\n]\nc = 1", {"a": 1, "c": 5}),
    ("a = { b = 1, c = [1] }\nd = 1", {"a": 1, "d": 2}),
    ('a = "# no comment"\nb = 1', {"a": 1, "b": 2}),
    ("[[t]]\na = 1\n[[t]]\na = 2", {"t": 3, "t.a": 4}),
    ("a = 1\r\nb = 2\r\n", {"a": 1, "b": 2}),
    ("a = 1979-05-27T07:32:00Z\nb = -1.5e3", {"a": 1, "b": 2}),
    ("", {}),
]


@pytest.mark.parametrize(("text", "lines"), TEXTS)
def test_keys_are_found_where_they_stand(text: str, lines: dict[str, int]) -> None:
    assert key_lines(text) == lines
