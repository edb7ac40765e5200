import pytest

from asif_serve.rate import Bucket


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bucket(clock):
    """Sixty tokens a minute: one a second."""
    return Bucket(60, clock)


def test_a_new_bucket_holds_a_minute_s_tokens(bucket):
    for _ in range(60):
        assert bucket.wait() == 0
        bucket.take(1)
    assert bucket.wait() == pytest.approx(1)


def test_tokens_come_back_with_time(bucket, clock):
    bucket.take(60)
    clock.now = 0.25
    assert bucket.wait() == pytest.approx(0.75)
    clock.now = 1
    assert bucket.wait() == 0


def test_what_is_dearer_than_the_bucket_is_paid_off_before_the_next(bucket, clock):
    bucket.take(200)
    assert bucket.wait() == pytest.approx(141)
    clock.now = 140.9
    assert bucket.wait() > 0
    clock.now = 141
    assert bucket.wait() == 0


def test_a_long_rest_saves_no_more_than_a_minute(bucket, clock):
    clock.now = 10_000
    bucket.take(60)
    assert bucket.wait() == pytest.approx(1)


def test_tokens_can_be_given_back_but_never_past_the_brim(bucket):
    bucket.take(60)
    bucket.take(-59)
    assert bucket.wait() == 0
    bucket.take(-1000)
    bucket.take(60)
    assert bucket.wait() == pytest.approx(1)


def test_over_a_long_time_the_rate_is_kept_whatever_the_sizes(bucket, clock):
    spent = 0
    while clock.now < 6000:
        if bucket.wait() == 0:
            size = 1 + spent % 97
            bucket.take(size)
            spent += size
        clock.now += 0.5
    assert spent == pytest.approx(6000 + 60, abs=100)
