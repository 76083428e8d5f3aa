"""Provider profiles: matched by host, and what their headers say."""

from datetime import UTC, datetime

import pytest

from harvester.profiles import profile_of, profiles, seconds_until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.openai.com", "openai"),
        ("my-resource.openai.azure.com", "azure"),
        ("api.deepseek.com", "deepseek"),
        ("api.deepseek.com.", "deepseek"),
        ("notapi.deepseek.com.example.org", "notapi.deepseek.com.example.org"),
        ("localhost", "localhost"),
    ],
)
def test_a_host_has_its_providers_profile(host: str, expected: str) -> None:
    assert profile_of(host).id == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("7", 7.0),
        ("2026-01-01T00:01:00Z", 60.0),
        ("2025-12-31T00:00:00Z", None),
        ("", None),
        ("-1", None),
        ("0", None),
        ("soon", None),
        ("5 parsecs", None),
    ],
)
def test_every_form_of_a_reset_is_read(text: str, seconds: float | None) -> None:
    assert seconds_until(text, NOW) == pytest.approx(seconds)


def test_openais_headers_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1s",
    }
    said = profiles()["openai"].headers.read(headers)
    assert (said.requests_per_minute, said.tokens_per_minute, said.spent_for_s) == (500.0, 200000.0, 1.0)


def test_azures_minus_one_says_nothing() -> None:
    headers = {"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1"}
    said = profiles()["azure"].headers.read(headers)
    assert (said.requests_per_minute, said.spent_for_s) == (None, None)
