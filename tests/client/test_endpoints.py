"""Which node next: hints first, circles avoided, nobody tried twice before everybody once."""

from bankd.client.endpoints import HINT_REST_S, HOPS_MAX, KNOWN_MAX, Endpoints


def test_nodes_are_tried_in_the_order_given_each_once_a_circle() -> None:
    endpoints = Endpoints(("a:1", "b:1", "c:1"))
    tried = []
    while (address := endpoints.choose()) is not None:
        tried.append(address)
        endpoints.failed(address)
    assert tried == ["a:1", "b:1", "c:1"]
    endpoints.begin_circle()
    assert endpoints.choose() is not None


def test_hint_is_tried_before_the_rest_even_when_unknown() -> None:
    endpoints = Endpoints(("a:1", "b:1"))
    assert endpoints.follow("z:1", now=0.0)
    assert endpoints.choose() == "z:1"
    assert endpoints.choose() == "a:1"  # a hint is good for one try


def test_hint_to_a_node_that_just_failed_is_not_followed() -> None:
    endpoints = Endpoints(("a:1", "b:1"))
    endpoints.failed("b:1")
    assert not endpoints.follow("b:1", now=0.0)


def test_hints_rest_after_three_hops_in_a_row() -> None:  # X07
    endpoints = Endpoints(("a:1", "b:1"))
    assert HOPS_MAX == 3
    assert [endpoints.follow("b:1", now=0.0) for _ in range(5)] == [True, True, True, False, False]
    assert not endpoints.follow("b:1", now=HINT_REST_S * 0.99)
    assert endpoints.follow("b:1", now=HINT_REST_S)


def test_answer_forgives_failures_and_hops() -> None:
    endpoints = Endpoints(("a:1",))
    for _ in range(HOPS_MAX):
        assert endpoints.follow("b:1", now=0.0)
    endpoints.failed("a:1")
    endpoints.answered()
    assert endpoints.follow("a:1", now=0.0)


def test_what_nodes_tell_is_added_behind_what_was_given_and_bounded() -> None:
    endpoints = Endpoints(("a:1",))
    endpoints.learn(["b:1", "a:1", "b:1"])
    assert endpoints.known == ("a:1", "b:1")
    endpoints.learn(f"x{number}:1" for number in range(1000))
    assert len(endpoints.known) == KNOWN_MAX
    assert endpoints.known[0] == "a:1"
