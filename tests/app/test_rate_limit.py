from pipeline.app import rate_limit
from pipeline.app.rate_limit import RateLimit


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_burst_passes_then_only_the_rate():
    clock = Clock()
    limit = RateLimit(per_second=4, burst=3, clock=clock)
    assert [limit.seconds_to_wait("a") for _ in range(4)] == [0, 0, 0, 0.25]
    clock.now += 0.25
    assert limit.seconds_to_wait("a") == 0
    assert limit.seconds_to_wait("a") == 0.25
    clock.now += 60  # no more than the burst is saved up
    assert [limit.seconds_to_wait("a") == 0 for _ in range(5)] == [True] * 3 + [False] * 2


def test_addresses_do_not_share_a_bucket():
    limit = RateLimit(per_second=1, burst=1, clock=Clock())
    assert limit.seconds_to_wait("a") == limit.seconds_to_wait("b") == 0
    assert limit.seconds_to_wait("a") == 1


def test_the_address_that_was_silent_longest_is_forgotten(monkeypatch):
    monkeypatch.setattr(rate_limit, "_ADDRESSES", 2)
    limit = RateLimit(per_second=0.001, burst=1, clock=Clock())
    for address in ("a", "b", "a", "c"):
        limit.seconds_to_wait(address)
    assert limit.seconds_to_wait("a") > 0
    assert limit.seconds_to_wait("b") == 0
