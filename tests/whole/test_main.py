"""`python -m tests.whole`: what it takes for a seed, and how it is interrupted."""

import signal

import pytest

from bankd.errors import Exit
from tests.whole.__main__ import interruptible, main


@pytest.mark.parametrize("words", [[], ["first"], ["-1"], ["1", "0"], ["1", "-2"], ["1", "many"]])
def test_what_is_no_seed_or_no_count_is_refused_in_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == Exit.USAGE
    assert "usage: python -m tests.whole" in capsys.readouterr().err


def test_ctrl_c_asks_for_the_end_and_twice_is_what_it_was() -> None:
    with interruptible() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_what_it_was_behind_the_runs() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
