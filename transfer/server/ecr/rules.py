"""
Field rules: lengths, patterns and values, declared beside each field's type and checked in one place.

The rules are those of the service model, since SDKs leave patterns and maxima to the service.
"""

import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from transfer.server.errors import ApiError, invalid_parameter, not_json

T = TypeVar("T", bound=msgspec.Struct)

Failure = tuple[str, str]  # path of the field, constraint that failed
Check = Callable[[str, Any], Iterator[Failure]]

_MISSING = re.compile(r"Object missing required field `(\w+)`(?: - at `\$\.?(.*)`)?")
_NULL = re.compile(r"Expected .*, got `null` - at `\$\.(.+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A constraint of a value; `least` and `most` bound a number, or the length of a text or list."""

    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()

    def failures(self, path: str, value: Any) -> Iterator[Failure]:
        measured, noun = (value, "value") if isinstance(value, int) else (len(value), "length")
        if self.least is not None and measured < self.least:
            yield path, f"Member must have {noun} greater than or equal to {self.least}"
        if self.most is not None and measured > self.most:
            yield path, f"Member must have {noun} less than or equal to {self.most}"
        if self.values and value not in self.values:
            yield path, f"Member must satisfy enum value set: [{', '.join(self.values)}]"
        if self.pattern and not re.fullmatch(self.pattern, value):
            yield path, f"must satisfy regular expression '{self.pattern}'"


def read_request(document: bytes, kind: type[T]) -> T:
    """
    Read an operation's request.

    Raises:
        ApiError: SerializationException when it is not JSON of the right types, InvalidParameterException when a
            field is missing or breaks its rule.
    """
    try:
        request = msgspec.json.decode(document, type=kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise not_json(f"the body is not JSON: {error}") from None
    failure = next(_check(kind)("", request), None)
    if failure is not None:
        raise invalid_parameter(*failure)
    return request


def _refused(message: str) -> ApiError:
    """msgspec tells a missing member apart from a wrong type in its text alone; the tests hold its wording."""
    if match := _MISSING.fullmatch(message):
        return invalid_parameter(f"{match[2]}.{match[1]}" if match[2] else match[1], "Member must not be null")
    if match := _NULL.fullmatch(message):
        return invalid_parameter(match[1], "Member must not be null")
    return not_json(message)


@cache
def _check(annotation: Any) -> Check:
    """Return the check for a type, built once: rules on the type itself, then those of what is in it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _all_of([_check(arguments[0]), *(item.failures for item in arguments[1:] if isinstance(item, Rule))])
    if origin in (Union, types.UnionType):
        (inner,) = (_check(argument) for argument in arguments if argument is not types.NoneType)
        return lambda path, value: iter(()) if value is None else inner(path, value)
    if origin is tuple:
        return _each(_check(arguments[0]))
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _members(annotation)
    return lambda _path, _value: iter(())


def _all_of(checks: list[Check]) -> Check:
    return lambda path, value: (failure for check in checks for failure in check(path, value))


def _each(check: Check) -> Check:
    return lambda path, values: (failure for value in values for failure in check(path, value))


def _members(kind: type[msgspec.Struct]) -> Check:
    hints = get_type_hints(kind, include_extras=True)
    members = [(field.name, field.encode_name, _check(hints[field.name])) for field in msgspec.structs.fields(kind)]

    def check(path: str, value: Any) -> Iterator[Failure]:
        for name, encoded, member in members:
            yield from member(f"{path}.{encoded}" if path else encoded, getattr(value, name))

    return check
