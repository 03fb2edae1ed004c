"""librdkafka's mock brokers in a process of their own, which can be stopped in mid-sentence: a broker that hangs.

They make topics of four partitions when asked about one, know groups and idempotent producers, and forget at their end.
They stamp no append times, so what they are good for is rebalances and outages; order is for a real broker.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Cluster:
    def __init__(self, process: "subprocess.Popen[str]", bootstrap: str) -> None:
        self._process = process
        self.bootstrap = bootstrap

    def hang(self) -> None:
        """Returns when nothing is answered any more: the signal alone leaves it a moment."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def mock_cluster() -> Iterator[Cluster]:
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Cluster(process, process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)  # noqa: T201 - to who started it
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
