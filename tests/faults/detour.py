"""What stands between a worker and its broker: it passes bytes on, holds them back either way, or cuts the line."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 64 * 1024
CONNECTS_WITHIN_S = 5.0


class Way:
    """One direction of all connections."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.delay_s = 0.0  # of each piece that is passed on

    def wait(self) -> None:
        self._open.wait()
        time.sleep(self.delay_s)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Connections stay open and nothing gets through this way; what was held is passed on at the end."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()


class Detour:
    def __init__(self, port: int, broker: str) -> None:
        host, _, broker_port = broker.rpartition(":")
        self.to_broker, self.to_worker = Way(), Way()
        self._broker = (host, int(broker_port))
        self._connections: set[socket.socket] = set()
        self._cut = False
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, name="detour", daemon=True).start()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Every connection ends, and new ones are broken off at once."""
        self._cut = True
        self._end_all()
        try:
            yield
        finally:
            self._cut = False

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept, and would hold the port
        self._listener.close()
        self._end_all()

    def _end_all(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):  # the other side was quicker
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                worker, _ = self._listener.accept()
            except OSError:
                return
            if self._cut:
                worker.close()
                continue
            try:
                broker = socket.create_connection(self._broker, CONNECTS_WITHIN_S)
            except OSError:
                worker.close()
                continue
            broker.settimeout(None)
            for source, target, way in ((worker, broker, self.to_broker), (broker, worker, self.to_worker)):
                self._connections.add(source)
                threading.Thread(target=self._pass_on, args=(source, target, way), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, way: Way) -> None:
        with suppress(OSError):  # one side has gone, and so must the other
            while piece := source.recv(CHUNK):
                way.wait()
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        self._connections.discard(source)
        source.close()
