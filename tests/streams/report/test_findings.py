"""What is read back from results: counted of everything, kept in bounds."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from schemas.events import AlertEvent, Evidence, Kind, Severity
from streams.errors import SourceError, UsageError
from streams.findings import truth, words
from streams.findings.collect import Findings, collect
from streams.findings.courses import COURSES_MAX, POINTS_MAX, Courses
from streams.findings.series import STRETCHES_MAX, Series, grid
from streams.findings.stories import STEPS_MAX, Stories
from streams.findings.survey import Survey
from streams.summary import Budget
from tests.streams.report.results import DAY, HOUR, MINUTE, START, alert, at, evidence, month, signal, window, write


def test_a_page_is_what_calls_a_person() -> None:
    stories = Stories()
    stories.add(alert(at(1)))
    stories.add(alert(at(2), AlertEvent.UPDATED))
    stories.add(alert(at(3), AlertEvent.ESCALATED, severity=Severity.CRITICAL))
    stories.add(alert(at(4), AlertEvent.RESOLVED))
    stories.add(alert(at(5), AlertEvent.REOPENED))
    stories.add(alert(at(6), incident="i2", severity=Severity.INFO))
    assert (stories.pages["churn"], stories.incidents["churn"]) == (3, 2)
    assert [story.pages for story in stories.kept] == [3, 0]


def test_an_incident_that_is_muted_pages_nobody_until_it_is_not() -> None:
    stories = Stories()
    stories.add(alert(at(1)))
    stories.add(alert(at(2), AlertEvent.MUTED))
    stories.add(alert(at(3), AlertEvent.ESCALATED, severity=Severity.CRITICAL))
    stories.add(alert(at(3), incident="i2"))
    stories.add(alert(at(4), AlertEvent.UNMUTED, severity=Severity.CRITICAL))
    stories.add(alert(at(5), AlertEvent.REOPENED, severity=Severity.CRITICAL))
    stories.add(alert(at(6), AlertEvent.MUTED))
    stories.add(alert(at(7), AlertEvent.RESOLVED))
    stories.add(alert(at(8), AlertEvent.REOPENED))
    assert stories.pages["churn"] == 4


def test_pages_of_an_incident_that_is_taken_back_are_said(tmp_path: Path) -> None:
    events = [*month(incidents=1), alert(at(3), incident="x"), alert(at(4), AlertEvent.RETRACTED, incident="x")]
    found = collect(write(tmp_path, events))
    assert found.taken_back == 1
    assert words.right(found).endswith("1 page taken back: labels or a person said that there was nothing.")


def never_right(folder: Path, losses: Sequence[float | None], joined: int = 50) -> str:
    told = [{"loss_mean": loss, "joined": joined if loss is not None else 0} for loss in losses]
    return words.never_right(collect(write(folder, [window(at(n), values=one) for n, one in enumerate(told)])))


def test_labels_that_all_contradict_are_told_of_as_they_may_name_classes_otherwise(tmp_path: Path) -> None:
    assert never_right(tmp_path, [None, 1.0, 1.0]).startswith("Every loss of churn is 1, as where each label ")
    assert never_right(tmp_path, [1.0, 0.99, 1.0]) == ""
    assert never_right(tmp_path, [None, 1.0], joined=49) == ""
    assert never_right(tmp_path, [None, None]) == ""


def test_an_incident_is_told_by_its_worst_alarm_and_names_all_its_signals() -> None:
    stories = Stories()
    stories.add(alert(at(1), summary="age rose"))
    stories.add(alert(at(2), AlertEvent.UPDATED, signal="label", kind=Kind.LABEL_DRIFT, summary="labels rose"))
    stories.add(alert(at(3), AlertEvent.UPDATED, summary="age looks like another unit"))
    (story,) = stories.kept
    assert story.summary == "age looks like another unit"
    stories.add(alert(at(4), AlertEvent.ESCALATED, signal="loss", severity=Severity.CRITICAL, summary="loss rose"))
    stories.add(alert(at(5), AlertEvent.RESOLVED, summary="over", severity=Severity.CRITICAL))
    assert (story.summary, story.severity, story.over_ts) == ("loss rose", "critical", at(5))
    assert list(story.signals) == ["feature:age", "label", "loss"]


def test_of_too_many_steps_the_first_and_the_newest_stay() -> None:
    stories = Stories()
    for number in range(3 * STEPS_MAX):
        stories.add(alert(at(1) + number, AlertEvent.OPENED if number == 0 else AlertEvent.UPDATED))
    (story,) = stories.kept
    assert (len(story.steps), story.left_out) == (STEPS_MAX, 2 * STEPS_MAX)
    assert (story.steps[0].ts, story.steps[-1].ts) == (at(1), at(1) + 3 * STEPS_MAX - 1)


def test_of_too_many_incidents_the_severe_stay_and_all_are_counted() -> None:
    stories = Stories(most=3)
    for number in range(20):
        severity = Severity.CRITICAL if number in (4, 9) else Severity.WARNING
        stories.add(alert(at(number), incident=f"i{number}", severity=severity))
        stories.add(alert(at(number) + 1, AlertEvent.RESOLVED, incident=f"i{number}", severity=severity))
    assert [story.incident for story in stories.kept] == ["i4", "i9", "i19"]
    assert (stories.incidents["churn"], stories.pages["churn"], stories.left_out) == (20, 20, 17)


def test_a_step_of_an_incident_that_was_let_go_does_not_bring_it_back() -> None:
    stories = Stories(most=1)
    for number in range(3):
        stories.add(alert(at(number), incident=f"i{number}"))
    stories.add(alert(at(4), AlertEvent.RESOLVED, incident="i0"))
    assert [story.incident for story in stories.kept] == ["i2"]


@pytest.mark.parametrize("span", [MINUTE, HOUR, DAY, 30 * DAY, 400 * DAY, 20_000 * DAY])
def test_a_course_has_so_many_points_however_long_it_is(span: int) -> None:
    over = grid(START + 12_345, START + 12_345 + span, 1)
    assert over.size <= STRETCHES_MAX
    assert over.first <= START + 12_345
    assert over.end > START + 12_345 + span
    assert over.place(START + 12_345 + span) == over.size - 1


def test_windows_are_added_up_as_what_they_are() -> None:
    series = Series(["predictions", "pending", "loss_mean", "latency_ms_max"], grid(START, START + 2 * HOUR, 2 * HOUR))
    series.add(
        window(START, values={"predictions": 10, "joined": 1, "pending": 9, "loss_mean": 1.0, "latency_ms_max": 5})
    )
    series.add(
        window(
            START + HOUR, values={"predictions": 5, "joined": 3, "pending": 4, "loss_mean": 0.0, "latency_ms_max": 4}
        )
    )
    assert [series.of(name)[0] for name in series.names] == [15.0, 4.0, 0.25, 5.0]
    assert series.of("loss_mean")[1:] == [None]


def test_a_window_counts_as_it_was_amended_last(tmp_path: Path) -> None:
    amended = [window(START, values={"loss_mean": loss}, revision=number) for number, loss in ((1, 0.6), (2, 0.9))]
    found = collect(write(tmp_path, [window(START), window(START + HOUR), *amended], time_range=None))
    series = found.models[0].series
    assert series.total("predictions") == 200
    assert series.of("loss_mean")[:2] == [0.9, 0.2]


def test_segments_are_no_models_and_count_nothing_twice(tmp_path: Path) -> None:
    found = collect(write(tmp_path, [window(START), window(START, segment="country=de")]))
    assert (len(found.models), found.models[0].figures.predictions) == (1, 100)


def test_a_version_that_was_not_the_first_is_a_deployment() -> None:
    seen = Survey()
    for hour, version in enumerate(("1", "1", "2", "1", "3")):
        seen.add(window(START + hour * HOUR, version=version))
    assert seen.deploys("churn") == [(START + 2 * HOUR, "2"), (START + 4 * HOUR, "3")]


def test_the_budget_is_held_against_the_time(tmp_path: Path) -> None:
    budgets = {"*": Budget(1.0), "rows": Budget(1.0, rows_per_false_alarm=200.0)}
    events = [*month("churn"), *month("rows", incidents=0)]
    found = collect(write(tmp_path, events, budgets=budgets))
    allowed = {figures.name: figures.allowed for figures in found.all_models}
    assert allowed == {"churn": pytest.approx(1.0), "rows": pytest.approx(72_000 / 200)}
    assert words.headline(found) == "You would have been paged 6 times in 30 days"
    assert words.for_what(found) == "For 1 model: churn 6; 1 model never paged."


def test_results_of_before_there_were_budgets_say_so(tmp_path: Path) -> None:
    found = collect(write(tmp_path, month(), budgets={}))
    assert found.allowed is None
    assert "not written" in words.budget(found)


def test_nothing_at_all_is_a_report_too(tmp_path: Path) -> None:
    found = collect(write(tmp_path, [], time_range=None, records=0))
    assert (found.pages, found.models, words.headline(found)) == (0, [], "Nothing was monitored")


def test_a_month_without_a_page_says_so(tmp_path: Path) -> None:
    found = collect(write(tmp_path, month(incidents=0)))
    assert words.headline(found) == "You would not have been paged in 30 days"
    assert words.for_what(found) == "No page on 1 model: nothing crossed its budget."


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, month())
    (tmp_path / "alerts.jsonl").write_bytes((tmp_path / "alerts.jsonl").read_bytes() + b'{"type":"alert"}\n')
    with pytest.raises(SourceError, match=r"alerts\.jsonl line 13"):
        collect(tmp_path)


def test_a_directory_without_results_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"summary\.json: cannot be read"):
        collect(tmp_path)


def test_signals_that_opened_an_alarm_are_drawn_first_and_points_are_bounded() -> None:
    courses = Courses(grid(START, at(30), HOUR))
    for number in range(2 * COURSES_MAX):
        courses.add_signal(signal(at(1), signal=f"s{number:03}", disposition="noted"))
    for minute in range(2 * POINTS_MAX):
        courses.add_signal(signal(at(2) + minute, signal="s099", disposition="noted"))
    courses.add_signal(signal(at(3), signal="s090"))
    assert (len(courses.drawn), courses.drawn[0].signal, courses.undrawn) == (COURSES_MAX, "s090", COURSES_MAX + 1)
    assert max(len(course.points) for course in courses.drawn) <= POINTS_MAX


def test_an_alarm_that_is_told_of_twice_is_one_point() -> None:
    courses = Courses(grid(START, at(30), HOUR))
    courses.add_signal(signal(at(1)))
    courses.add_signal(signal(at(1), disposition="grouped"))
    courses.add_signal(signal(at(2), disposition="over"))
    assert [(course.opened, len(course.points)) for course in courses.drawn] == [(1, 1)]


def test_what_is_said_of_the_monitoring_itself_has_no_level_to_draw() -> None:
    courses = Courses(grid(START, at(30), HOUR))
    courses.add_signal(signal(at(2), signal="retrain", kind="system", disposition="cooldown"))
    assert courses.drawn == []


def test_an_alarm_that_no_signal_told_of_is_one_all_the_same() -> None:
    courses = Courses(grid(START, at(30), HOUR))
    courses.add_signal(signal(at(3), disposition="noted"))
    courses.add_signal(signal(at(1), disposition="suspected"))
    courses.add_alert(alert(at(1)))
    courses.add_alert(alert(at(2)))
    courses.add_alert(alert(at(4), AlertEvent.RESOLVED))
    (course,) = courses.drawn
    assert [(point.ts, point.disposition) for point in course.points] == [
        (at(1), "opened"),
        (at(2), "opened"),
        (at(3), "noted"),
    ]
    assert course.opened == 2


def test_a_statistic_without_a_threshold_or_a_number_is_not_drawn() -> None:
    courses = Courses(grid(START, at(30), HOUR))
    for number, told in enumerate(
        (evidence(threshold=None), evidence(value=None), evidence(threshold=0.0), evidence())
    ):
        courses.add_signal(signal(at(number), evidence=told))
    assert [each.times for each in courses.statistics["shiryaev_roberts"]] == [1.5]


def test_alarms_that_joined_without_a_word_are_part_of_the_incident(tmp_path: Path) -> None:
    joined = Evidence(
        value=2.0, threshold=1.0, threshold_origin="", n=1, baseline=None, effect=None, detail={"incident": "i1"}
    )
    events = [window(START), alert(at(0.5)), signal(at(0.6), signal="label", evidence=joined, disposition="grouped")]
    (story,) = collect(write(tmp_path, events)).stories
    assert (list(story.signals), [told.signal for told in story.beside]) == (["feature:age", "label"], ["label"])


# -- truth ----------------------------------------------------------------------------------------------------------


def _known(path: Path, *lines: str) -> truth.Truth:
    path.write_text("\n".join(lines))
    return truth.read(path)


def _found(tmp_path: Path, *lines: str) -> Findings:
    return collect(write(tmp_path / "results", month()), _known(tmp_path / "truth.jsonl", *lines))


def test_a_page_while_something_known_goes_on_is_right_and_what_no_page_came_for_is_missed(tmp_path: Path) -> None:
    found = _found(
        tmp_path,
        '{"model": "churn", "starts": "2026-01-02T12:00:00Z", "ends": "2026-01-04T00:00:00Z", "what": "prices"}',
        "",
        f'{{"model": "*", "starts": {at(29)}}}',
        '{"model": "other", "starts": 0}',
    )
    assert found.truth is not None
    assert (found.pages, found.right) == (6, 2)
    assert [change.model for change in found.truth.missed] == ["*", "other"]
    assert found.truth.found[0] == at(2)
    assert words.right(found) == (
        "2 of 6 pages came while a known change was going on. Known changes: 1 of 3 found, 2 missed."
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "line 1: is no known change"),
        ('{"model": "churn"}', "line 1: is no known change"),
        ('{"model": "churn", "starts": "2026-01-02T12:00:00"}', "line 1: is no known change"),
        ('{"model": "churn", "starts": 9, "ends": 8}', "line 1: ends before it starts"),
    ],
)
def test_a_wrong_line_of_a_truth_file_is_named(tmp_path: Path, line: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        _known(tmp_path / "truth.jsonl", line)


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    def peak(name: str, step: int) -> int:
        windows = (window(START + minute * MINUTE, MINUTE) for minute in range(0, 30 * 24 * 60, step))
        results = write(tmp_path / name, [*month(), *windows])
        tracemalloc.start()
        collect(results)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    small, large = peak("small", 60), peak("large", 2)
    assert large - small < 100_000  # of 8 MB more


def test_how_long_labels_take_is_told_by_retraining_or_else_by_how_many_wait(tmp_path: Path) -> None:
    asked = collect(write(tmp_path / "asked", month())).models[0]
    assert "half of them had taken 2 hours or more" in words.labels(asked)
    hours = [window(START + hour * HOUR, values={"joined": 50, "pending": 150}) for hour in range(24)]
    waiting = collect(write(tmp_path / "waiting", hours, time_range=None)).models[0]
    assert words.labels(waiting) == (
        "1,200 labels came for 2,400 predictions (50%); 150 still wait at the end; "
        "by how many waited, one takes 3 hours at most, in the mean."
    )
