"""What EventBridge hands to a target with an input transformer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import reduce
from typing import Any


def transformed(transformer: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
    """The target's input: each placeholder of the template replaced by the JSON at its path.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """

    def at_path(placeholder: re.Match[str]) -> str:
        path: str = transformer["inputPaths"][placeholder[1]]
        found: Any = reduce(lambda value, key: value[key], path.removeprefix("$.").split("."), event)
        return json.dumps(found)

    return json.loads(re.sub(r"<(\w+)>", at_path, transformer["inputTemplate"]))
