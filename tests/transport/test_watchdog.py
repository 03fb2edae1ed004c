"""When a process counts as stalled. The clock is a number that the test sets."""

import asyncio
import subprocess
import sys
import threading

import pytest

from streams import running, watchdog
from streams.watchdog import EXIT_STALLED, Progress, Stall, Watchdog, certain_end
from streams.worker import EXIT_UNEXPECTED

STALL_S = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ready_worker() -> tuple[Clock, Progress]:
    clock = Clock()
    progress = Progress(clock)
    progress.ready()
    return clock, progress


def test_a_loop_that_does_not_turn_is_a_stall():
    clock, progress = ready_worker()
    clock.now += 61
    assert progress.stalled(STALL_S) is Stall.LOOP_BLOCKED


def test_records_that_wait_while_no_commit_takes_them_in_are_a_stall():
    clock, progress = ready_worker()
    progress.at({0: 9}, {0: 7})
    clock.now += 61
    progress.turn()
    progress.at({0: 9}, {0: 700})
    assert progress.stalled(STALL_S) is Stall.NO_PROGRESS


def test_a_loop_that_stops_while_records_wait_is_what_is_told():
    clock, progress = ready_worker()
    progress.at({0: 9}, {0: 7})
    clock.now += 10
    progress.turn()
    clock.now += 51
    assert progress.stalled(STALL_S) is None
    clock.now += 10
    assert progress.stalled(STALL_S) is Stall.LOOP_BLOCKED


def test_a_worker_with_nothing_to_do_is_not_stalled():
    clock, progress = ready_worker()
    for _ in range(3):
        clock.now += 59
        progress.turn()
        progress.at({0: 9}, {0: 0})
    assert progress.stalled(STALL_S) is None


def test_a_worker_that_moves_through_a_long_backlog_is_not_stalled():
    clock, progress = ready_worker()
    for place in range(5):
        progress.at({0: place}, {0: 1_000_000})
        clock.now += 59
        progress.turn()
        assert progress.stalled(STALL_S) is None


def test_reading_back_for_long_before_the_first_commit_is_not_a_stall():
    clock, progress = ready_worker()
    for _ in range(5):
        progress.at({0: 9}, {0: 7})
        clock.now += 59
        progress.turn()
        progress.moved()
    assert progress.stalled(STALL_S) is None


def test_one_partition_that_stands_is_a_stall_though_others_move():
    clock, progress = ready_worker()
    for place in range(6):
        assert progress.stalled(STALL_S) is None
        progress.at({0: 9, 1: place, 2: 5}, {0: 7, 1: 7, 2: 0})
        clock.now += 20
        progress.turn()
    assert progress.stalled(STALL_S) is Stall.NO_PROGRESS


def test_one_that_waits_for_its_turn_is_none_however_long_the_turns_of_others_take():
    clock, progress = ready_worker()
    places = dict.fromkeys(range(4), 0)
    for turn in range(40):
        progress.at(places, dict.fromkeys(places, 1_000_000))
        clock.now += 50
        progress.turn()
        assert progress.stalled(STALL_S) is None
        places[turn % 4] += 10_000


def test_what_others_did_before_they_stood_too_is_not_waited_for():
    clock, progress = ready_worker()
    for place in (0, 1, 1):
        progress.at({0: 9, 1: place}, {0: 7, 1: 0})
        clock.now += 40
        progress.turn()
    assert progress.stalled(STALL_S) is Stall.NO_PROGRESS


def test_a_partition_that_went_elsewhere_is_not_waited_for():
    clock, progress = ready_worker()
    progress.at({0: 9, 1: 9}, {0: 7, 1: 0})
    clock.now += 61
    progress.turn()
    progress.at({1: 9}, {1: 0})
    assert progress.stalled(STALL_S) is None


def test_records_that_came_after_a_long_silence_get_the_whole_stall_time():
    clock, progress = ready_worker()
    clock.now += 600
    progress.turn()
    progress.at({0: 9}, {0: 0})
    progress.at({0: 9}, {0: 5})
    assert progress.stalled(STALL_S) is None


def test_a_start_that_never_gets_ready_is_a_stall():
    clock = Clock()
    progress = Progress(clock)
    clock.now += 61
    progress.turn()
    progress.at({}, {})
    assert progress.stalled(STALL_S) is Stall.NOT_READY


def test_a_rebalance_after_a_long_silence_gets_the_whole_stall_time():
    clock, progress = ready_worker()
    clock.now += 600
    progress.turn()
    progress.not_ready()
    assert progress.stalled(STALL_S) is None
    clock.now += 61
    progress.turn()
    assert progress.stalled(STALL_S) is Stall.NOT_READY


def test_rebalances_one_after_the_other_do_not_hide_that_the_worker_is_never_ready():
    clock, progress = ready_worker()
    for _ in range(4):
        progress.not_ready()
        clock.now += 20
        progress.turn()
    assert progress.stalled(STALL_S) is Stall.NOT_READY


def test_brokers_that_are_away_for_a_while_are_waited_for():
    clock, progress = ready_worker()
    progress.at({0: 9}, {0: 7})
    for _ in range(4):
        clock.now += 59
        progress.turn()
        progress.lag_unknown()
        assert progress.stalled(STALL_S) is None
    progress.at({0: 9}, {0: 7})
    assert progress.stalled(STALL_S) is None  # they are back, and the whole stall time is there to go on


def test_questions_that_get_lost_now_and_then_do_not_hide_that_nothing_moves():
    clock, progress = ready_worker()
    progress.at({0: 9}, {0: 7})
    for _ in range(12):  # ten minutes
        progress.lag_unknown()
        clock.now += 5
        progress.turn()
        progress.at({0: 9}, {0: 7})
        clock.now += 45
        progress.turn()
        if progress.stalled(STALL_S):
            break
    assert progress.stalled(STALL_S) is Stall.NO_PROGRESS


def test_an_outage_is_no_part_of_the_time_that_a_start_may_take():
    clock = Clock()
    progress = Progress(clock)
    progress.lag_unknown()
    clock.now += 250
    progress.turn()
    progress.at({}, {})
    assert progress.stalled(STALL_S) is None
    clock.now += 61
    progress.turn()
    progress.at({}, {})
    assert progress.stalled(STALL_S) is Stall.NOT_READY


def test_brokers_that_never_answer_again_are_a_stall():
    clock, progress = ready_worker()
    progress.lag_unknown()
    clock.now += 301
    progress.turn()
    progress.lag_unknown()
    assert progress.stalled(STALL_S) is Stall.NO_ANSWER


def test_the_thread_ends_the_process_once():
    clock, progress = ready_worker()
    clock.now += 61
    ended: list[Stall] = []
    told = threading.Event()

    def end(stall: Stall, _seconds: float) -> None:
        ended.append(stall)
        told.set()

    dog = Watchdog(progress, stall_s=0.01, end=end)
    dog.start()
    assert told.wait(10)
    dog.stop()
    assert ended == [Stall.LOOP_BLOCKED]


def test_the_time_the_group_waits_for_dead_members_is_no_stall():
    now = 0.0
    progress = Progress(lambda: now, join_s=60)
    progress.not_ready()
    now = 69.0
    progress.turn()
    assert progress.stalled(10) is None
    now = 71.0
    progress.turn()
    assert progress.stalled(10) is Stall.NOT_READY


def test_a_commit_that_waits_for_brokers_is_given_the_time_that_it_may_take():
    now = 0.0
    progress = Progress(lambda: now, commit_s=57)
    progress.ready()
    progress.at({0: 9}, {0: 7})
    now = 56.0
    progress.turn()
    assert progress.stalled(10) is None
    now = 58.0
    progress.turn()
    assert progress.stalled(10) is Stall.NO_PROGRESS


@pytest.mark.parametrize(
    ("stall", "lasted_s"),
    [(Stall.LOOP_BLOCKED, 10), (Stall.NOT_READY, 70), (Stall.NO_PROGRESS, 57), (Stall.NO_ANSWER, 50)],
)
def test_what_is_told_is_how_long_it_lasted(stall: Stall, lasted_s: float):
    assert Progress(join_s=60, commit_s=57).allowed_s(stall, 10) == lasted_s


async def test_who_was_asked_to_stop_is_not_ended_because_records_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "STOP_S_MAX", 1e6)
    _, progress = ready_worker()
    stop, dog = asyncio.Event(), Watchdog(progress, stall_s=60, end=lambda *_: None)
    dog.start()
    running._ask_to_stop(stop, dog)
    assert stop.is_set()
    dog._thread.join(10)
    assert not dog._thread.is_alive()


ENDS = {
    "watchdog.end_process(watchdog.Stall.LOOP_BLOCKED, 60)": EXIT_STALLED,
    "watchdog.end_late(25)": 0,
    "worker._fatal(os._exit)(ValueError('x'))": EXIT_UNEXPECTED,
}
LISTENER_IS_GONE = "sys.stdin.readline()"
LISTENER_HAS_STOPPED = """
os.set_blocking(2, False)
try:
    while os.write(2, bytes(4096)):
        pass
except BlockingIOError:
    os.set_blocking(2, True)
"""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("before", [LISTENER_IS_GONE, LISTENER_HAS_STOPPED], ids=["gone", "stopped"])
def test_a_process_ends_though_nobody_takes_its_last_words(before: str, end: str):
    code = f"import os, sys\nfrom streams import watchdog, worker\nwatchdog.SAYING_S_MAX = 0.1\n{before}\n{end}"
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if before is LISTENER_IS_GONE:
            process.stdout.close()
            process.stderr.close()
            process.stdin.write("\n")
            process.stdin.flush()
        try:
            assert process.wait(60) == ENDS[end]
        finally:
            process.kill()


def test_last_words_that_fail_are_no_reason_to_live_on(monkeypatch: pytest.MonkeyPatch):
    ends: list[int] = []
    with certain_end(ends.append, 70):
        raise BrokenPipeError
    assert ends == [70]
    monkeypatch.setattr(watchdog, "SAYING_S_MAX", 0.01)
    heard = threading.Event()
    with certain_end(lambda _: heard.set(), 70):
        assert heard.wait(10)  # by the timer
