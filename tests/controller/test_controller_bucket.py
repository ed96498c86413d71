"""The token bucket, on a clock of its own."""

from controller.bucket import START, Bucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self) -> float:
        return self.now


def written(bucket: Bucket, clock: Clock, seconds: float) -> int:
    """Writes that went well within that time."""
    until, count = clock.now + seconds, 0
    while clock.now < until:
        bucket.take()
        bucket.went_well()
        count += 1
    return count


def test_it_starts_slowly_and_doubles_up_to_its_rate() -> None:
    clock = Clock()
    bucket = Bucket(150, 10, clock.read, clock.sleep)
    assert bucket.rate == START
    seconds = [written(bucket, clock, 1.0) for _ in range(8)]
    assert seconds[0] <= 2 * START + 10
    assert seconds[:4] == sorted(set(seconds[:4]))
    assert bucket.rate == 150
    assert abs(seconds[-1] - 150) <= 2


def test_it_never_gives_more_than_rate_and_burst() -> None:
    clock = Clock()
    bucket = Bucket(50, 20, clock.read, clock.sleep)
    written(bucket, clock, 10)
    clock.sleep(60)
    assert written(bucket, clock, 1.0) <= 50 + 20 + 1


def test_a_refusal_takes_it_back_to_the_start() -> None:
    clock = Clock()
    bucket = Bucket(150, 10, clock.read, clock.sleep)
    written(bucket, clock, 10)
    bucket.was_refused()
    assert bucket.rate == START
    assert written(bucket, clock, 0.5) <= START


def test_a_slow_rate_is_kept_from_the_start() -> None:
    clock = Clock()
    bucket = Bucket(2, 1, clock.read, clock.sleep)
    assert written(bucket, clock, 10) <= 21
