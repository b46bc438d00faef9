"""Requests and replies as JSON and back, exactly, and a request's fingerprint. Knows no file and no database.

The types of the fields direct both ways, so every request and reply of the port is covered, later ones included, as long
as their fields are text, numbers, arrays, tuples, mappings or the port's own tuples. Floats come back bit for bit,
infinities, NaN and the sign of zero too.

A tree is written as what it says: the token sequence of each node asked about. Two trees that put the same prefixes into
different arrays are one request.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from winnow.ports.requests import NextToken, Request
from winnow.values.records import to_json
from winnow.values.tree import Tree

LONG = 256  # arrays with more numbers than this are written in base64, little-endian
_KNOWN: dict[Any, dict[str, Any]] = {}
SPECIAL = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def encode_request(request: Request[Any]) -> dict[str, Any]:
    """A request as JSON values: ``{"type": .., field: ..}``.

    Raises
    ------
    TypeError
        When a field's type has no encoding.
    """
    if isinstance(request, NextToken):
        sequences = [request.tree.sequence(int(node)) for node in request.nodes]
        return {"type": "NextToken", "sequences": sequences, **_fields(request, ("top", "tokens", "uniform"))}
    fields = _fields(request)
    for name, default in _later(type(request)).items():
        if getattr(request, name) == default:
            del fields[name]
    return {"type": type(request).__name__, **fields}


def decode_request(data: Mapping[str, Any], kind: type[Request[Any]]) -> Request[Any]:
    """The request that ``encode_request`` wrote. A tree comes back as one root a node."""
    if kind is NextToken:
        hints = _hints(NextToken)
        rest = {name: _decode(data[name], hints[name]) for name in ("top", "tokens", "uniform")}
        sequences = data["sequences"]
        return NextToken(tree=Tree(sequences), nodes=np.arange(len(sequences)), **rest)
    left_out = set(_later(kind)) - set(data)
    return kind(**{name: _decode(data[name], hint) for name, hint in _hints(kind).items() if name not in left_out})


def reply_type(kind: type[Request[Any]]) -> type[Any]:
    """The type of the reply to a request type, as its declaration says.

    >>> from winnow.ports.requests import Evaluate
    >>> reply_type(Evaluate).__name__
    'Scores'
    """
    for base in getattr(kind, "__orig_bases__", ()):
        if get_origin(base) is Request:
            reply: type[Any] = get_args(base)[0]
            return reply
    raise TypeError(f"{kind.__name__} does not say what its reply is: class {kind.__name__}(Request[Reply])")


def encode_reply(reply: Any) -> dict[str, Any]:
    """A reply as JSON values: ``{field: ..}``.

    Raises
    ------
    TypeError
        When it is no dataclass, or a field's type has no encoding.
    """
    return _fields(reply)


def decode_reply(data: Mapping[str, Any], kind: type[Request[Any]]) -> Any:
    """The reply to a request of type ``kind`` that ``encode_reply`` wrote.

    Raises
    ------
    KeyError, TypeError, ValueError
        When the data are no such reply.
    """
    reply = reply_type(kind)
    return reply(**{name: _decode(data[name], hint) for name, hint in _hints(reply).items()})


def fingerprint(identity: str, request: Request[Any]) -> str:
    """sha256 over backend, request type and all fields, as 64 hexadecimal digits: what is asked, and of whom."""
    return hashlib.sha256(line({"backend": identity, **encode_request(request)})).hexdigest()


def line(value: Any) -> bytes:
    """JSON in one line without its end, as UTF-8; a lone surrogate is escaped, as nothing else could keep it."""
    try:
        return to_json(value).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False).encode("ascii")


def _hints(kind: type[Any]) -> dict[str, Any]:
    """Types of a dataclass's or named tuple's fields, in order."""
    if kind not in _KNOWN:
        hints = get_type_hints(kind)
        names = getattr(kind, "_fields", None) or [field.name for field in dataclasses.fields(kind)]
        _KNOWN[kind] = {name: hints[name] for name in names}
    return _KNOWN[kind]


def _later(kind: type[Any]) -> dict[str, Any]:
    """Fields that are written only when they differ from their default, and those; see ``ports.requests.LATER``."""
    return {field.name: field.default for field in dataclasses.fields(kind) if field.metadata.get("later")}


def _fields(value: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    hints = _hints(type(value))
    return {name: _encoder(hints[name])(getattr(value, name)) for name in names or hints}


@functools.cache
def _encoder(hint: Any) -> Callable[[Any], Any]:
    """What writes a value of a type: looked up once, since a reply has thousands of numbers of the same few types."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        members = get_args(hint)
        return lambda value: None if value is None else _encoder(_member(value, members))(value)
    if origin is np.ndarray:
        dtype = _dtype(hint)
        return lambda value: _encode_array(np.asarray(value, dtype))
    if origin is tuple:
        one = _encoder(get_args(hint)[0])
        return lambda value: [one(part) for part in value]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        one = _encoder(get_args(hint)[1])
        return lambda value: {str(key): one(part) for key, part in value.items()}
    if isinstance(hint, type) and issubclass(hint, tuple):  # a NamedTuple: its fields in order
        each = [_encoder(kind) for kind in _hints(hint).values()]
        return lambda value: [encode(part) for encode, part in zip(each, value, strict=True)]
    if hint is float:
        return lambda value: _plain(float(value))
    if hint in (str, int, bool):
        return hint  # type: ignore[no-any-return]
    raise TypeError(f"no encoding for {hint}")


def _decode(data: Any, hint: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if data is None else _decode(data, _written_as(data, get_args(hint)))
    if origin is np.ndarray:
        return _decode_array(data, _dtype(hint))
    if origin is tuple:
        return tuple(_decode(one, get_args(hint)[0]) for one in data)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _decode(one, get_args(hint)[1]) for key, one in data.items()}
    if isinstance(hint, type) and issubclass(hint, tuple):
        return hint(*(_decode(one, kind) for one, kind in zip(data, _hints(hint).values(), strict=True)))
    if hint is float:
        return SPECIAL[data] if isinstance(data, str) else float(data)
    if hint in (str, int, bool):
        return hint(data)
    raise TypeError(f"no encoding for {hint}")


def _member(value: Any, members: tuple[Any, ...]) -> Any:
    plain = next((kind for kind in members if isinstance(kind, type) and isinstance(value, kind)), None)
    others = [kind for kind in members if kind is not type(None) and kind not in (str, int, float, bool)]
    if plain is None and not others:  # a numpy number, where a plain one is meant
        return next(kind for kind in members if kind is not type(None) and kind is not str)
    return plain or others[0]


def _written_as(data: Any, members: tuple[Any, ...]) -> Any:
    plain = [kind for kind in members if kind in (str, int, float, bool)]
    structured = [kind for kind in members if kind not in plain and kind is not type(None)]
    if isinstance(data, list | dict) and structured:
        return structured[0]
    return next((kind for kind in plain if isinstance(data, kind)), plain[0])


def _dtype(hint: Any) -> np.dtype[Any]:
    kind: np.dtype[Any] = np.dtype(get_args(get_args(hint)[1])[0])
    return kind


def _encode_array(array: np.ndarray) -> Any:
    if array.size > LONG:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return {"shape": list(array.shape), "base64": base64.b64encode(little.tobytes()).decode("ascii")}
    numbers = [_plain(number) for number in array.ravel().tolist()]
    return numbers if array.ndim == 1 else {"shape": list(array.shape), "numbers": numbers}


def _decode_array(data: Any, dtype: np.dtype[Any]) -> np.ndarray:
    if isinstance(data, list):
        data = {"shape": [len(data)], "numbers": data}
    if "base64" in data:
        raw = np.frombuffer(base64.b64decode(data["base64"], validate=True), dtype.newbyteorder("<"))
        return raw.astype(dtype).reshape(data["shape"])
    numbers = [SPECIAL[number] if isinstance(number, str) else number for number in data["numbers"]]
    return np.array(numbers, dtype).reshape(data["shape"])


def _plain(number: float | int) -> float | int | str:
    return number if isinstance(number, int) or math.isfinite(number) else repr(number)
