"""When a process counts as stalled. The clock is a number that the test sets."""

import threading

from streams.watchdog import Progress, Stall, Watchdog

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

    def end(stall: Stall) -> None:
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
