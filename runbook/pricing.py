"""What a run's use of AWS costs: quantities times the list prices of `prices.json`. The one model; others count for it.

Free tiers, discounts and storage are left out. AgentCore bills processor time and memory as they were used, which
nobody tells us per run: the shares assumed for them are in `prices.json`, too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PRICES = Path(__file__).with_name("prices.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one run used.

    :ivar input_tokens: without those that came from a prompt cache or went into one
    :ivar agent_seconds: how long it had an execution environment
    :ivar function_seconds: of all calls together
    :ivar log_bytes: None leaves logs out of the bill
    :ivar traces: None leaves traces out of the bill
    """

    input_tokens: float = 0
    output_tokens: float = 0
    cache_read_tokens: float = 0
    cache_write_tokens: float = 0
    agent_seconds: float = 0
    transitions: float = 0
    function_requests: float = 0
    function_seconds: float = 0
    write_units: float = 0
    read_units: float = 0
    artifacts_put: float = 0
    artifacts_read: float = 0
    events: float = 0
    log_bytes: float | None = None
    traces: float | None = None


@dataclass(frozen=True, slots=True)
class CostItem:
    """One line of a bill.

    :ivar usd: None if there is no price for it
    """

    item: str
    quantity: float
    unit: str
    usd: float | None


def bill(usage: Usage, model_id: str = "") -> list[CostItem]:
    """Return what was used with its price, line by line.

    :param model_id: whose price the tokens have
    """
    per_unit, assumed = prices()["perUnit"], prices()["assumptions"]
    hours = usage.agent_seconds / 3600
    quantities: list[tuple[str, float | None, str, str]] = [
        ("agent processor", hours * assumed["agentVcpuShare"], "vCPU-hours", "agentVcpuHour"),
        ("agent memory", hours * assumed["agentGb"], "GB-hours", "agentGbHour"),
        ("state machine", usage.transitions, "transitions", "stateTransition"),
        ("function", usage.function_requests, "requests", "functionRequest"),
        ("function time", usage.function_seconds * assumed["functionGb"], "GB-s", "functionGbSecond"),
        ("journal writes", usage.write_units, "units", "journalWriteUnit"),
        ("journal reads", usage.read_units, "units", "journalReadUnit"),
        ("artifacts written", usage.artifacts_put, "requests", "artifactPut"),
        ("artifacts read", usage.artifacts_read, "requests", "artifactGet"),
        ("events", usage.events, "events", "event"),
        ("logs", None if usage.log_bytes is None else usage.log_bytes / 1e9, "GB", "logGb"),
        ("traces", usage.traces, "traces", "trace"),
    ]
    items = [
        CostItem(item, float(number), unit, number * per_unit[key])
        for item, number, unit, key in quantities
        if number is not None
    ]
    return [*token_items(usage, model_id), *items]


def total(items: list[CostItem]) -> float:
    """Return the sum of what has a price, in US dollars."""
    return sum(item.usd or 0.0 for item in items)


def token_price(model_id: str) -> Mapping[str, float] | None:
    """Return the price of a million tokens, `input`, `output`, `cacheRead`, `cacheWrite`; None for a model without one.

    :param model_id: of a foundation model or an inference profile
    """
    known = sorted((name for name in prices()["perMillionTokens"] if name in model_id), key=len)
    if not known:
        return None
    surcharge = prices()["regionalSurcharge"]
    regional = model_id.startswith(tuple(surcharge["profiles"])) and known[-1] in surcharge["models"]
    factor = 1 + surcharge["share"] if regional else 1.0
    own: dict[str, float] = prices()["perMillionTokens"][known[-1]]
    cached = {kind: own["input"] * share for kind, share in prices()["cacheSharesOfInput"].items()}
    return {kind: price * factor for kind, price in (cached | own).items()}


@cache
def prices() -> dict[str, Any]:
    """Return the price list with its date, sources, assumptions and quotas."""
    return json.loads(PRICES.read_text(encoding="utf-8"))


def token_items(usage: Usage, model_id: str) -> list[CostItem]:
    """Return the tokens with their price, if the model has one."""
    price = token_price(model_id)
    quantities = [("input", "input", usage.input_tokens), ("output", "output", usage.output_tokens)]
    cached = [
        ("cache read", "cacheRead", usage.cache_read_tokens),
        ("cache write", "cacheWrite", usage.cache_write_tokens),
    ]
    return [
        CostItem(f"model {name}", float(number), "tokens", number / 1e6 * price[kind] if price else None)
        for name, kind, number in (*quantities, *(each for each in cached if each[2]))
    ]
