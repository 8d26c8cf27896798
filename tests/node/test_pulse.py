"""Silence, counted in pings that had their time to be answered."""

from bankd.node.pulse import UNANSWERED_PINGS_MAX, Beat, Pulse

EVERY = 3
INTERVAL = [Beat.NOTHING] * (EVERY - 1)


def test_ping_goes_out_every_interval_to_a_peer_that_answers() -> None:
    pulse = Pulse(ping_every_ticks=EVERY)
    for _ in range(10 * UNANSWERED_PINGS_MAX):
        assert [pulse.tick() for _ in range(EVERY)] == [*INTERVAL, Beat.PING]
        pulse.heard()


def test_peer_is_given_up_when_its_last_ping_had_a_whole_interval_too() -> None:
    pulse = Pulse(ping_every_ticks=EVERY)
    for _ in range(UNANSWERED_PINGS_MAX):
        assert [pulse.tick() for _ in range(EVERY)] == [*INTERVAL, Beat.PING]
    assert [pulse.tick() for _ in range(EVERY)] == [*INTERVAL, Beat.GIVE_UP]


def test_a_word_at_the_last_moment_starts_the_count_anew() -> None:
    pulse = Pulse(ping_every_ticks=EVERY)
    for _ in range(EVERY * (UNANSWERED_PINGS_MAX + 1) - 1):
        pulse.tick()
    pulse.heard()
    assert [pulse.tick() for _ in range(EVERY * UNANSWERED_PINGS_MAX)].count(Beat.GIVE_UP) == 0
