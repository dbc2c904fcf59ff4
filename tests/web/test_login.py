"""Whoever guesses the password has to wait; time is a number that the tests turn on."""

import pytest

from chargen.web.login import LoginAttempts


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


def test_w14_after_five_failures_an_address_waits(clock):
    attempts = LoginAttempts(clock)
    assert [attempts.begin("10.0.0.1") for _ in range(7)] == [0, 0, 0, 0, 0, 30, 30]
    assert attempts.begin("10.0.0.2") == 0
    clock.now = 29.5
    assert attempts.begin("10.0.0.1") == 1
    clock.now = 30.0
    assert attempts.begin("10.0.0.1") == 0
    assert attempts.begin("10.0.0.1") == 30


def test_w14_the_right_password_forgives(clock):
    attempts = LoginAttempts(clock)
    for _ in range(20):
        assert attempts.begin("10.0.0.1") == 0
        attempts.succeed("10.0.0.1")


def test_w14_a_network_of_ipv6_counts_as_one_address(clock):
    attempts = LoginAttempts(clock)
    waits = [attempts.begin(f"2001:db8::{number:x}") for number in range(6)]
    assert waits == [0, 0, 0, 0, 0, 30]
    assert attempts.begin("2001:db8:0:1::1") == 0


def test_w14_many_addresses_take_no_more_memory(clock):
    attempts = LoginAttempts(clock)
    for number in range(20_000):
        attempts.begin(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert attempts.begin("10.0.0.0") == 0  # long forgotten
