"""A Faust agent as its documentation writes it: one record at a time, on the stock transport."""

import faust
import orjson

from load.peers.detectors import Detectors
from load.peers.task import Stopwatch, Task, read_task


def build(task: Task) -> faust.App:
    """An app with one agent that keeps detectors for what it reads."""
    app = faust.App(
        task.group,
        broker=f"kafka://{task.bootstrap}",
        store="memory://",
        datadir=str(task.result.with_suffix(".faust")),
        web_enabled=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        worker_redirect_stdouts=False,
    )
    predictions = app.topic(*task.topics, key_serializer="raw", value_serializer="raw")
    stopwatch = Stopwatch(task, ("faust-streaming", "mode-streaming", "aiokafka", "river", "orjson"))
    detectors = Detectors()

    @app.agent(predictions)  # type: ignore[untyped-decorator]  # faust has no types to check against
    async def watch(stream: faust.StreamT) -> None:
        async for value in stream:
            event = orjson.loads(value)
            detectors.update(event["model"], event["features"])
            stopwatch.add()

    return app


if __name__ == "__main__":
    faust.Worker(build(read_task()), loglevel="warn").execute_from_commandline()
