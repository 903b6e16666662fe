"""Checks what a program registered against the provider SDK's own types.

Mocks accept every input. The engine doesn't: a misspelt key of a nested object, an object in place of a list or a text
in place of a number fails in `pulumi up` only. The SDK's *Args classes know all of them.
"""

from __future__ import annotations

import collections.abc
import importlib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
from pulumi import _types as sdk_types  # the SDK has no public way to ask
from pulumi.output import Unknown

_SCALARS = (str, int, float, bool)


def problems(resource_type: str, inputs: Mapping[str, Any]) -> list[str]:
    """What the provider would refuse of a resource's inputs, as sentences."""
    return problems_of(_args_class(resource_type), inputs)


def problems_of(args_class: type, inputs: Mapping[str, Any]) -> list[str]:
    """The same for inputs whose *Args class is known, such as a provider's configuration."""
    found: list[str] = []
    _check_object(args_class, inputs, args_class.__name__, found)
    return found


def _args_class(resource_type: str) -> type:
    package, module, name = resource_type.split(":")
    module = module.partition("/")[0]
    namespace = importlib.import_module(f"pulumi_{package}.{'lambda_' if module == 'lambda' else module}")
    return getattr(namespace, f"{name}InitArgs", None) or getattr(namespace, f"{name}Args")


@dataclass(frozen=True)
class _Shape:
    """One of the forms that a hint allows: `object`, `list`, `map`, `scalar`, or `any` for what isn't checked."""

    form: str
    object_class: type | None = None
    scalar: type | None = None
    inner: tuple[_Shape, ...] = ()


_ANY = (_Shape("any"),)


def _shapes(hint: Any) -> tuple[_Shape, ...]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _plain_shapes(hint)
    if origin in (list, collections.abc.Sequence):
        return (_Shape("list", inner=_shapes(arguments[0])),)
    if origin in (dict, collections.abc.Mapping):
        return (_Shape("map", inner=_shapes(arguments[1]) if len(arguments) > 1 else _ANY),)
    if origin in (pulumi.Output, collections.abc.Awaitable):
        return ()
    return tuple(shape for argument in arguments for shape in _shapes(argument))


def _plain_shapes(hint: Any) -> tuple[_Shape, ...]:
    if isinstance(hint, type):
        if sdk_types.is_input_type(hint):
            return (_Shape("object", object_class=hint),)
        if hint in _SCALARS:
            return (_Shape("scalar", scalar=hint),)
        if issubclass(hint, (pulumi.Asset, pulumi.Archive)):
            return _ANY
    return _ANY if hint is Any else ()


def _check_object(args_class: type, value: Mapping[str, Any], path: str, found: list[str]) -> None:
    hints = sdk_types.input_type_types(args_class)
    known = set(sdk_types.input_type_py_to_pulumi_names(args_class).values())
    for key, inner in value.items():
        if key in known:
            _check(_shapes(hints[key]), inner, f"{path}.{key}", found)
        else:
            found.append(f"{path}.{key} is no input of {args_class.__name__}")


def _check(shapes: tuple[_Shape, ...], value: Any, path: str, found: list[str]) -> None:
    if not shapes or value is None or isinstance(value, (Unknown, pulumi.Asset, pulumi.Archive)):
        return
    by_form = {shape.form: shape for shape in reversed(shapes)}
    if "any" in by_form:
        return
    if isinstance(value, dict):
        _check_mapping(by_form, cast("dict[str, Any]", value), path, found)
    elif isinstance(value, list):
        if "list" not in by_form:
            found.append(f"{path} may not be a list")
            return
        for place, inner in enumerate(cast("list[Any]", value)):
            _check(by_form["list"].inner, inner, f"{path}[{place}]", found)
    elif not any(shape.scalar and _fits(value, shape.scalar) for shape in shapes):
        found.append(f"{path} may not be {value!r}")


def _check_mapping(by_form: Mapping[str, _Shape], value: dict[str, Any], path: str, found: list[str]) -> None:
    if "object" in by_form:
        _check_object(cast("type", by_form["object"].object_class), value, path, found)
    elif "map" in by_form:
        for key, inner in value.items():
            _check(by_form["map"].inner, inner, f"{path}.{key}", found)
    else:
        found.append(f"{path} may not be an object")


def _fits(value: Any, scalar: type) -> bool:
    # Numbers cross the engine as floating point.
    if scalar is int:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer()
    if scalar is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, scalar)
