"""Names for resources that the program leaves unnamed, following Pulumi's engine.

Owns the pattern, with one difference: the random part is a digest here, so that a resource keeps its name from one
deployment to the next.
Rule: https://www.pulumi.com/docs/iac/concepts/resources/names/#configuring-auto-naming
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_PATTERN = "${name}-${hex(7)}"
CONFIG_KEY = "pulumi:autonaming"


@dataclass(frozen=True)
class AutoNames:
    """The names of one stack's resources.

    :ivar pattern: may contain `${project}`, `${stack}`, `${name}` and `${hex(n)}`.
    """

    project: str
    stack: str
    pattern: str = DEFAULT_PATTERN

    @classmethod
    def of_stack(cls, project: str, stack: str, config: Mapping[str, str]) -> AutoNames:
        """Read the pattern from the stack's configuration.

        :raises ValueError: if it has anything else than a pattern that is emulated.
        """
        setting = json.loads(config.get(CONFIG_KEY, "{}"))
        names = cls(project, stack, setting.get("pattern", DEFAULT_PATTERN))
        unknown = [*(setting.keys() - {"pattern"}), *re.findall(r"\$\{.*?\}", names.name("type", "name"))]
        if unknown:
            raise ValueError(
                f"{CONFIG_KEY} has {unknown[0]}; only patterns of ${{project}}, ${{stack}}, ${{name}} and ${{hex(n)}} "
                "are emulated."
            )
        return names

    def name(self, type_: str, logical_name: str) -> str:
        """Return the name of a resource of a type such as `aws:sqs/queue:Queue`."""
        digest = hashlib.sha256(f"{type_}/{logical_name}".encode()).hexdigest()
        values = {"project": self.project, "stack": self.stack, "name": logical_name}
        name = re.sub(r"\$\{(project|stack|name)\}", lambda found: values[found[1]], self.pattern)
        return re.sub(r"\$\{hex\((\d+)\)\}", lambda found: digest[: int(found[1])], name)
