"""The DynamoDB expressions in the project's source, read and not run: none is overlooked because no test uses it."""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESERVED_WORDS = frozenset(Path(__file__).with_name("dynamodb_reserved_words.txt").read_text(encoding="utf-8").split())
"""In capitals. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html"""

SYNTAX = frozenset({"AND", "OR", "NOT", "IN", "BETWEEN", "SET", "REMOVE", "ADD", "DELETE"})
KINDS = frozenset(
    {
        *("KeyConditionExpression", "FilterExpression", "ConditionExpression"),
        *("ProjectionExpression", "UpdateExpression"),
    }
)
_NAME = re.compile(r"(?<![:#\w.])[A-Za-z_]\w*(?!\w*\s*\()")
_COMPUTED = ":computed"


@dataclass(frozen=True)
class Expression:
    """An expression where it stands; what is computed in it counts as a value.

    :ivar kind: one of :data:`KINDS`
    """

    place: str
    kind: str
    text: str

    @property
    def names(self) -> set[str]:
        """The attributes that it names without an alias."""
        return {name for name in _NAME.findall(self.text) if name.upper() not in SYNTAX}


def expressions(path: Path) -> Iterator[Expression]:
    """Yield the expressions of a module.

    :raises TypeError: if one can't be read from the source, because it is made of what a function computes
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for kind, value in _named_values(node):
            if kind in KINDS:
                place = f"{path.relative_to(ROOT)}:{value.lineno}"
                yield Expression(place, kind, _text(value, path))


def _named_values(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.keyword):
        yield node.arg or "", node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value


def _text(value: ast.expr, path: Path) -> str:
    if isinstance(value, ast.JoinedStr):
        parts = value.values
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _COMPUTED for part in parts)
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    try:
        return str(eval(compile(ast.Expression(value), str(path), "eval"), vars(module)))  # noqa: S307 - our own source
    except NameError as error:
        raise TypeError(f"{path}:{value.lineno}: {error}: write the expression with constants of the module") from error
