"""Named reasons: why a record was refused, and what became of a control event."""

from enum import StrEnum


class DeadLetterReason(StrEnum):
    """Why a record could not be taken. Each has a line in docs/events.md."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    TOO_DEEP = "too_deep"
    NOT_JSON = "not_json"
    NOT_FINITE = "not_finite"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_TYPE = "missing_type"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_TOPIC = "wrong_topic"
    UNKNOWN_VERSION = "unknown_version"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_ID = "bad_id"
    BAD_MODEL = "bad_model"
    BAD_TIME = "bad_time"
    TIME_WITHOUT_ZONE = "time_without_zone"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_VALUE = "unknown_value"
    UNKNOWN_ACTION = "unknown_action"
    WRONG_KEY = "wrong_key"
    # What follows is said by the engine and not by the codec: it takes more than the record to know it.
    TOO_MANY_MODELS = "too_many_models"
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    TOO_OLD = "too_old"
    REPEATED = "repeated"


class AuditResult(StrEnum):
    """What became of a control event. Each has a line in docs/events.md."""

    APPLIED = "applied"
    WITHOUT_BASELINE = "without_baseline"
    UNKNOWN_BASELINE = "unknown_baseline"
    NOT_OPEN = "not_open"
    NOT_MUTED = "not_muted"
    TOO_MANY_MUTES = "too_many_mutes"
    # What was refused: these are the words of its dead letter.
    TOO_MANY_MODELS = DeadLetterReason.TOO_MANY_MODELS.value
    UNSIGNED = DeadLetterReason.UNSIGNED.value
    BAD_SIGNATURE = DeadLetterReason.BAD_SIGNATURE.value
    TOO_OLD = DeadLetterReason.TOO_OLD.value
    REPEATED = DeadLetterReason.REPEATED.value
