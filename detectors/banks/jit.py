"""How the banks' inner loops become machine code.

numba keys its cache by the text of the one file that a kernel stands in. Code or a constant from another file is
compiled in but not looked at again, so an upgrade could run old machine code: a kernel uses nothing of ours from
outside its own file. The one exception is ``detectors.banks.vectors``: who uses it says which text of it that was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Never, TypeVar

import numba
from numba.core import event

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """Compiles at the first call and keeps the result on disk for the next process.

    No ``fastmath``, no ``parallel``: both reorder additions, and then a decision could differ from River's.
    ``error_model`` is IEEE's, as in Rust: a division by zero gives an infinity instead of an exception.
    """
    try:
        made: Kernel = numba.njit(kernel, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:
        # numba found no folder that it may write: not NUMBA_CACHE_DIR, not beside the source, not the user's cache.
        # A container with a read-only root and no home is such a place. It costs compile time, nothing else.
        made = numba.njit(kernel, nogil=True, error_model="numpy")
    return made


def inlined(part: Kernel) -> Kernel:
    """A small part of kernels of its own file, put into each of them: a call costs as much as what it does."""
    made: Kernel = numba.njit(part, inline="always", nogil=True, error_model="numpy")
    return made


class NotCompiledError(Exception):
    """A kernel lies in no cache."""


class _Refusing(event.Listener):  # type: ignore[misc]
    def on_start(self, event: Any) -> Never:
        raise NotCompiledError

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def only_loaded() -> Iterator[None]:
    """Raises ``NotCompiledError`` where a kernel would have to be compiled."""
    with event.install_listener("numba:compile", _Refusing()):
        yield


def kept_in(kernel: Any) -> str | None:
    """The folder of its cache; none where numba found no place for one."""
    place: str | None = kernel.stats.cache_path
    return place
