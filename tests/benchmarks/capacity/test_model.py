from dataclasses import replace
from typing import Any

import pytest

from benchmarks.capacity.__main__ import report
from benchmarks.capacity.model import CROWD, DAY_SECONDS, SETTINGS, crowd, dollars, limits
from benchmarks.capacity.run_counts import HEARTBEAT_WRITE_UNITS, RunCounts, items_write_units, stretched
from runbook.pricing import prices
from runtime.journal.writer import MAX_EVENTS

COUNTS = RunCounts(
    run_seconds=164,
    write_units=99,
    index_write_units=2,
    read_units=34,
    transitions=57,
    function_requests=2,
    function_seconds=0.8,
    log_bytes=4000,
    artifacts_put=2,
    artifacts_read=4,
    events=2,
)
DATA: dict[str, Any] = prices()


def test_prices_and_quotas_have_a_date_a_region_and_sources() -> None:
    assert DATA["asOf"].startswith("20")
    assert DATA["region"]
    assert all(source.startswith("https://") for source in DATA["sources"])
    assert all(quota["source"].startswith("https://") for quota in DATA["quotas"].values())


def test_every_quota_of_the_data_is_compared_with_something() -> None:
    assert {limit.key for limit in limits(COUNTS, DATA)} == set(DATA["quotas"])


def test_the_quota_that_is_hit_first_comes_first() -> None:
    rates = [limit.runs_per_second for limit in limits(COUNTS, DATA)]
    assert rates == sorted(rates)


def test_places_are_taken_for_as_long_as_a_run_lasts_and_its_session_takes_to_end() -> None:
    short, long = (
        next(limit for limit in limits(replace(COUNTS, run_seconds=seconds), DATA) if limit.key == "activeSessions")
        for seconds in (164, 8 * 3600)
    )
    assert short.runs_per_second == pytest.approx(5000 / 179)
    assert long.runs_per_second < short.runs_per_second / 100


def test_tokens_a_minute_are_a_rate() -> None:
    tokens = next(limit for limit in limits(COUNTS, DATA) if limit.key == "modelTokens")
    assert tokens.runs_per_second == pytest.approx(5_000_000 / 60 / 45_000)
    assert tokens.share(tokens.runs_per_second) == pytest.approx(1)


def test_a_million_runs_a_day_fit_into_every_quota_but_the_models() -> None:
    rate = 1_000_000 / DAY_SECONDS
    assert [limit.key for limit in limits(COUNTS, DATA) if limit.share(rate) > 1] == ["modelTokens"]


def test_what_a_run_costs_is_what_it_takes_times_the_prices() -> None:
    costs = dollars(COUNTS)
    assert costs["state machine"] == pytest.approx(57 * 0.000025)
    assert costs["journal"] == pytest.approx(99 * 0.000000625 + 34 * 0.000000125)
    assert costs["model"] == max(costs.values())


def test_a_longer_run_takes_more_polls_and_more_heartbeats() -> None:
    longer = stretched(COUNTS, SETTINGS, 600)
    assert longer.transitions > COUNTS.transitions
    assert longer.write_units == COUNTS.write_units + 20 * HEARTBEAT_WRITE_UNITS
    assert longer.read_units == 120


def test_items_cost_less_the_more_of_their_events_share_a_transaction() -> None:
    assert items_write_units(100, 1) == 200 * HEARTBEAT_WRITE_UNITS
    assert items_write_units(100, MAX_EVENTS) == 200 * 2 + 3 * (HEARTBEAT_WRITE_UNITS - 2)


def test_the_crowd_meets_the_quotas_of_the_data() -> None:
    coming = crowd(DATA)
    assert coming.runs == CROWD
    assert coming.sessions_per_second == DATA["quotas"]["newSessions"]["limit"]


def test_the_report_has_every_part_and_every_quota() -> None:
    told = report(COUNTS, DATA)
    for quota in DATA["quotas"].values():
        assert quota["name"] in told
    for part in (*dollars(COUNTS), "all"):
        assert f"| {part} |" in told
    assert "10,000 started" in told
    assert "A step of 100 items takes 1,600 write units" in told
    assert "A wait of 24 h that nobody answers takes 25 looks: 101 state transitions" in told
