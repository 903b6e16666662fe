"""JSONata expressions in the emulator are parsed once, whoever evaluates them with whatever variables."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import jsonata
import pytest
from jsonata.jexception import JException
from jsonata.parser import Parser

from local.emulator.edge import expressions

NAMED = "$map($states.input, function($v) { $v * $factor }) ~> $sum"


@pytest.fixture
def parsed() -> Iterator[list[str]]:
    """What is really parsed while the edge is in place, in order."""
    texts, original = list[str](), Parser.parse

    def parse(self: Parser, text: str | None, *options: object) -> object:
        texts.append(str(text))
        return original(self, text, *options)  # pyrefly: ignore[bad-argument-type]

    with patch.object(Parser, "parse", parse):
        expressions.install()
        yield texts


def evaluated(factor: int) -> object:
    expression = jsonata.Jsonata.jsonata(NAMED, timeout=1000)
    return expression.evaluate(None, {"states": {"input": [1, 2, 3]}, "factor": factor})


def test_threads_share_the_tree_and_have_variables_of_their_own(parsed: list[str]) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(evaluated, range(100))) == [6 * factor for factor in range(100)]
    assert 1 <= parsed.count(NAMED) <= 8  # whoever comes before the first is done parses, too


def test_what_can_not_be_parsed_is_refused_every_time(parsed: list[str]) -> None:
    for _ in range(2):
        with pytest.raises(JException):
            jsonata.Jsonata.jsonata("$states.[")
    assert parsed.count("$states.[") == 2
