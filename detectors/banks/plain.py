"""The state of a River object as plain data, and back: no pickle, no code in the bytes, nothing imported by them.

What may be in it: None, true and false, numbers, strings, bytes, list, tuple, dict, set, deque, numpy scalars and
arrays, ``random.Random``, objects of River's classes and of the detector's own class, and bound methods of the very
object that holds them. Anything else is refused by name, with the way to it.

On the wire a value is itself where msgpack has it, else a list that starts with a tag. A list, dict or object met a
second time is written as a reference, so what was shared stays shared.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

import msgspec
import numpy as np

from detectors.banks.contract import StateError

_DEPTH_MAX = 32  # River's detectors are four deep; far deeper is a loop or an attack
_INTEGER_MAX = 2**63  # beyond it msgpack has no integers
_NUMPY_KINDS = "biuf"  # no objects, no strings: their bytes would be pointers or another encoding

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder()


class UnwritableError(ValueError):
    """An object holds something that has no plain form here."""


def write(subject: object) -> bytes:
    """``subject`` and all it holds. ``UnwritableError`` says what could not be written, and where it is."""
    return _ENCODER.encode(_Writer(type(subject)).value(subject, type(subject).__name__, None, 0))


def read(data: bytes, expected: type) -> Any:
    """What ``write`` was given, an ``expected``; ``StateError`` where the bytes say anything else."""
    try:
        subject = _Reader(expected).value(_DECODER.decode(data), None, 0)
    except StateError:
        raise
    except Exception as error:  # whatever odd bytes make constructors, numpy or __setstate__ raise
        raise StateError(f"unreadable state of {expected.__name__}: {error}") from error
    if type(subject) is not expected:
        raise StateError(f"state of {type(subject).__name__}, not of {expected.__name__}")
    return subject


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_rivers(module: str) -> bool:
    return module == "river" or module.startswith("river.")


def _keeps_its_own_state(kind: type) -> bool:
    """Compiled classes: what they hold is not in ``__dict__``, they hand it out themselves."""
    return hasattr(kind, "__setstate__") and getattr(kind, "__getstate__", None) is not object.__getstate__


class _Writer:
    def __init__(self, root: type) -> None:
        self._root = root
        self._met: dict[int, int] = {}
        self._held: list[object] = []  # an id is of use only as long as its object lives
        self._kinds: dict[type, Callable[[Any, str, object, int], list[Any]]] = {
            np.ndarray: self._array,
            list: self._list,
            deque: self._deque,
            set: self._set,
            dict: self._dict,
        }

    def value(self, value: object, way: str, owner: object, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise UnwritableError(f"{way}: more than {_DEPTH_MAX} objects inside one another")
        if value is None or type(value) in (bool, float, str, bytes):
            return value
        if type(value) is int:
            return value if -_INTEGER_MAX <= value < _INTEGER_MAX else ["integer", str(value)]
        if isinstance(value, np.generic):
            return ["scalar", *_array_parts(value, way)]
        if type(value) is tuple:
            return ["tuple", self._each(value, way, owner, depth)]
        if isinstance(value, MethodType):
            return self._method(value, way, owner)
        return self._shared(value, way, owner, depth)

    def _each(self, values: Iterable[object], way: str, owner: object, depth: int) -> list[Any]:
        return [self.value(value, f"{way}[{place}]", owner, depth + 1) for place, value in enumerate(values)]

    def _method(self, value: MethodType, way: str, owner: object) -> list[Any]:
        if value.__self__ is not owner or getattr(owner, value.__name__, None) != value:
            raise UnwritableError(f"{way}: a method of another object cannot be written as plain bytes")
        return ["method", value.__name__]

    def _shared(self, value: object, way: str, owner: object, depth: int) -> list[Any]:
        if id(value) in self._met:
            return ["again", self._met[id(value)]]
        self._met[id(value)] = len(self._met)
        self._held.append(value)
        return self._kinds.get(type(value), self._object)(value, way, owner, depth)

    def _array(self, value: Any, way: str, owner: object, depth: int) -> list[Any]:
        return ["array", *_array_parts(value, way)]

    def _list(self, value: Any, way: str, owner: object, depth: int) -> list[Any]:
        return ["list", self._each(value, way, owner, depth)]

    def _deque(self, value: Any, way: str, owner: object, depth: int) -> list[Any]:
        return ["deque", value.maxlen, self._each(value, way, owner, depth)]

    def _set(self, value: Any, way: str, owner: object, depth: int) -> list[Any]:
        """Sorted by their bytes: the order of a set differs from process to process."""
        return ["set", sorted(self._each(value, way, owner, depth), key=_ENCODER.encode)]

    def _dict(self, value: Any, way: str, owner: object, depth: int) -> list[Any]:
        def written(key: object, item: object) -> list[Any]:
            there = f"{way}[{key!r}]"
            return [self.value(key, there, owner, depth + 1), self.value(item, there, owner, depth + 1)]

        return ["dict", [written(key, item) for key, item in value.items()]]

    def _object(self, value: Any, way: str, owner: object, depth: int) -> list[Any]:
        kind = type(value)
        if _name(kind) == "random.Random":
            return ["random", self.value(value.getstate(), way, None, depth + 1)]
        if kind is not self._root and not _is_rivers(kind.__module__):
            raise UnwritableError(f"{way}: a {_name(kind)} cannot be written as plain bytes")
        if _keeps_its_own_state(kind):
            return self._kept(value, way, depth)
        if not hasattr(value, "__dict__") or any(getattr(base, "__slots__", ()) for base in kind.__mro__):
            raise UnwritableError(f"{way}: a {_name(kind)} keeps its state where it cannot be read")
        fields = [[name, self.value(item, f"{way}.{name}", value, depth + 1)] for name, item in vars(value).items()]
        return ["object", _name(kind), fields]

    def _kept(self, value: Any, way: str, depth: int) -> list[Any]:
        given = value.__getnewargs__() if hasattr(value, "__getnewargs__") else ()
        return [
            "kept",
            _name(type(value)),
            self.value(given, way, None, depth + 1),
            self.value(value.__getstate__(), way, None, depth + 1),
        ]


class _Reader:
    def __init__(self, root: type) -> None:
        self._root = root
        self._met: list[Any] = []
        self._tags: dict[str, Callable[..., Any]] = {
            "integer": lambda owner, depth, digits: int(digits),
            "tuple": lambda owner, depth, items: tuple(self._each(items, owner, depth)),
            "array": lambda owner, depth, *parts: self._entered(_array(*parts)),
            "scalar": lambda owner, depth, *parts: _array(*parts)[()],
            "method": self._method,
            "again": lambda owner, depth, place: self._met[place],
            "list": self._list,
            "deque": self._deque,
            "set": self._set,
            "dict": self._dict,
            "random": self._random,
            "kept": self._kept,
            "object": self._object,
        }

    def value(self, value: Any, owner: object, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise StateError(f"more than {_DEPTH_MAX} objects inside one another")
        if not isinstance(value, list):
            return value
        tag, *parts = value
        return self._tags[tag](owner, depth, *parts)

    def _each(self, items: Iterable[Any], owner: object, depth: int) -> list[Any]:
        return [self.value(item, owner, depth + 1) for item in items]

    def _entered(self, made: Any) -> Any:
        """References count objects in the order in which they begin, so each is entered before it is filled."""
        self._met.append(made)
        return made

    def _method(self, owner: object, depth: int, name: str) -> Any:
        if not callable(getattr(type(owner), name)):
            raise StateError(f"{name!r} is no method of {type(owner).__name__}")
        return getattr(owner, name)

    def _list(self, owner: object, depth: int, items: list[Any]) -> list[Any]:
        made: list[Any] = self._entered([])
        made.extend(self._each(items, owner, depth))
        return made

    def _deque(self, owner: object, depth: int, longest: int | None, items: list[Any]) -> deque[Any]:
        made: deque[Any] = self._entered(deque(maxlen=longest))
        made.extend(self._each(items, owner, depth))
        return made

    def _set(self, owner: object, depth: int, items: list[Any]) -> set[Any]:
        made: set[Any] = self._entered(set())
        made.update(self._each(items, owner, depth))
        return made

    def _dict(self, owner: object, depth: int, pairs: list[Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = self._entered({})
        for key, item in pairs:
            read = self.value(key, owner, depth + 1)
            made[read] = self.value(item, owner, depth + 1)
        return made

    def _random(self, owner: object, depth: int, state: Any) -> Any:
        # Found, not imported: chance has no business in this layer, but River's seeded generator has to be put back.
        made = self._entered(sys.modules["random"].Random())
        made.setstate(self.value(state, None, depth + 1))
        return made

    def _kept(self, owner: object, depth: int, name: str, given: Any, state: Any) -> Any:
        kind = self._class(name)
        place = len(self._met)
        self._met.append(None)
        made = kind.__new__(kind, *self.value(given, None, depth + 1))
        self._met[place] = made
        made.__setstate__(self.value(state, None, depth + 1))
        return made

    def _object(self, owner: object, depth: int, name: str, fields: list[Any]) -> Any:
        kind = self._class(name)
        made = self._entered(kind.__new__(kind))
        for field, item in fields:
            vars(made)[field] = self.value(item, made, depth + 1)
        return made

    def _class(self, name: str) -> Any:
        """A class of River's that is loaded already, or the detector's own: bytes never cause an import."""
        if name == _name(self._root):
            return self._root
        module, _, kind = name.rpartition(".")
        found = getattr(sys.modules.get(module), kind, None)
        if not _is_rivers(module) or not isinstance(found, type) or _name(found) != name:
            raise StateError(f"{name!r} is no class of River's")
        return found


def _array_parts(value: np.generic | np.ndarray[Any, Any], way: str) -> list[Any]:
    if value.dtype.kind not in _NUMPY_KINDS:
        raise UnwritableError(f"{way}: a numpy {value.dtype} cannot be written as plain bytes")
    order = value.dtype.newbyteorder("<")
    return [order.str, list(value.shape), np.asarray(value).astype(order).tobytes()]


def _array(kind: str, shape: list[int], data: bytes) -> np.ndarray[Any, Any]:
    dtype = np.dtype(kind)
    if dtype.kind not in _NUMPY_KINDS:
        raise StateError(f"a numpy {kind} in the state")
    return np.frombuffer(data, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
