"""Building blocks of the Amazon States Language: small pure functions that return parts of states.

The machine uses JSONata throughout, so an expression is text between `{%` and `%}`.
Rules: https://states-language.net/spec.html
"""

from typing import Any, TypeAlias

from components.workflow_budget import MAX_RETRY_DELAY_SECONDS

State: TypeAlias = dict[str, Any]


def expression(text: str) -> str:
    """Return a JSONata expression on one line: some validators' schemas reject line breaks."""
    return f"{{% {' '.join(text.split())} %}}"


def choice(rules: list[dict[str, Any]], default: str) -> State:
    """Return a state that follows the first rule that holds."""
    return {"Type": "Choice", "Choices": rules, "Default": default}


def rule(condition: str, then: str, **assign: Any) -> dict[str, Any]:
    """Return a rule of a choice, with the variables it sets."""
    return {"Condition": expression(condition), "Next": then} | ({"Assign": assign} if assign else {})


def retry(errors: list[str], interval_seconds: int, tries: int) -> dict[str, Any]:
    """Return a retrier: exponential, capped, with full jitter, so that many runs don't retry at once."""
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": interval_seconds,
        "BackoffRate": 2,
        "MaxDelaySeconds": MAX_RETRY_DELAY_SECONDS,
        "JitterStrategy": "FULL",
        "MaxAttempts": tries,
    }


def never_retry(error: str) -> dict[str, Any]:
    """Return a retrier that keeps an error from the more general one after it."""
    return {"ErrorEquals": [error], "MaxAttempts": 0}


def catch(errors: list[str], then: str, **assign: Any) -> dict[str, Any]:
    """Return a catcher, with the variables it sets."""
    return {"ErrorEquals": errors, "Next": then, "Output": {}} | ({"Assign": assign} if assign else {})
