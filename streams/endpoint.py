"""Serves ``/metrics`` for Prometheus and ``/health`` for whoever starts and stops workers: 200 ready, 503 not."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socket import AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from streams.errors import UsageError
from streams.sections import MetricsSettings

_LOOK_EVERY_S = 0.1  # how soon a stop is seen
_READ_TIMEOUT_S = 5.0  # whoever connects and stays silent is let go

Ready = Callable[[], bool]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """As the base class does, without asking a name server who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who stays silent or hangs up is no error of ours: a check that only connects would fill the log."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _ServerV6(_Server):
    address_family = AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _READ_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """A line for every scrape would drown the others."""


@contextmanager
def serving(
    settings: MetricsSettings, registry: CollectorRegistry, ready: Ready, *, setting: str = "metrics.port"
) -> Iterator[int | None]:
    """Serves in a thread of its own, so also while the worker is busy; yields the port, which ``setting`` says."""
    if not settings.enabled:
        yield None
        return
    try:
        server = (_ServerV6 if ":" in settings.host else _Server)((settings.host, settings.port), _Handler)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        advice = f"set {setting} to a free one, or metrics.enabled to false"
        raise UsageError(f"metrics cannot be served there: {error.strerror}", where=where, advice=advice) from error
    server.set_app(_app(registry, ready))
    with server:
        thread = Thread(target=server.serve_forever, args=(_LOOK_EVERY_S,), name="metrics", daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _app(registry: CollectorRegistry, ready: Ready) -> Any:
    metrics = make_wsgi_app(registry)

    def app(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = request.get("PATH_INFO", "/")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(request, start)
            return answer
        if path == "/health":
            return _plain(start, *(("200 OK", "ready") if ready() else ("503 Service Unavailable", "not ready")))
        return _plain(start, "404 Not Found", "there are /metrics and /health")

    return app


def _plain(start: Callable[..., Any], status: str, text: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
