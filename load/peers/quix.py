"""A quixstreams application as its documentation writes it, with the same detectors in a callback."""

from typing import Any

from load.peers.detectors import Detectors
from load.peers.task import Stopwatch, Task, read_task


def run(task: Task) -> None:
    """Reads until the stopwatch ends the process."""
    from quixstreams import Application  # noqa: PLC0415 - it lives in an environment of its own

    stopwatch = Stopwatch(task, ("quixstreams", "confluent-kafka", "river", "orjson"))
    detectors = Detectors()

    def watch(event: dict[str, Any]) -> None:
        detectors.update(event["model"], event["features"])
        stopwatch.add()

    app = Application(
        broker_address=task.bootstrap, consumer_group=task.group, auto_offset_reset="earliest", loglevel="WARNING"
    )
    for topic in task.topics:
        app.dataframe(app.topic(topic, value_deserializer="json")).update(watch)
    app.run()


if __name__ == "__main__":
    run(read_task())
