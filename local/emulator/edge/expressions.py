"""JSONata expressions are parsed once, where ministack parses each anew whenever a state evaluates it.

Parsing takes longer than evaluating. The tree is only read: what an evaluation needs besides, its time limit and the
variables, is made for each.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jsonata.parser import Parser
from jsonata.regex_engine import default_regex_engine

KEPT = 1024


def install() -> None:
    """Keep the trees of the expressions that were evaluated last."""
    parse = Parser.parse

    @lru_cache(KEPT)
    def parsed(text: str | None, engine: Any) -> Any:
        # A parser of its own: a thread's is in use again before another thread reads the tree.
        return parse(Parser(), text, engine)

    def parse_once(self: Parser, jsonata: str | None, regex_engine: Any = default_regex_engine) -> Any:
        del self
        return parsed(jsonata, regex_engine)

    Parser.parse = parse_once  # pyrefly: ignore[method-assign]
