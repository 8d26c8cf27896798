"""Signals that ask for an end: one exception for all, only while somebody is there to catch it."""

import signal
import subprocess
import sys

import pytest

from bankd.campaign.endings import ENDINGS, endings_interrupt, ignore_endings


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_interrupts_what_is_under_way_and_is_then_left_as_it_was(number: signal.Signals) -> None:
    before = [signal.getsignal(ending) for ending in ENDINGS]
    with pytest.raises(KeyboardInterrupt), endings_interrupt():
        signal.raise_signal(number)
    assert [signal.getsignal(ending) for ending in ENDINGS] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_one_does_not_disturb_the_end(number: signal.Signals) -> None:
    with endings_interrupt():
        ignore_endings()
        signal.raise_signal(number)


def test_what_is_ignored_from_the_beginning_stays_ignored() -> None:
    """In a process of its own, started as a shell starts a job in the background."""
    program = (
        "import signal\n"
        "from bankd.campaign.endings import endings_interrupt\n"
        "with endings_interrupt():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "print('not disturbed')\n"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (ran.stdout, ran.stderr) == ("not disturbed\n", "")
