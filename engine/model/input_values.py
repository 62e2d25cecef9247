"""Inputs of one value: their types, and what each accepts (dialect, section 1.3).

Pure. Values are JSON: dates, times and durations stay text in ISO 8601, a FILE is the URI under which the
caller has already stored it.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, NoReturn
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    AwareDatetime,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from engine.model.base import Document, Text

MAX_TEXT = 1 << 20  # characters of one value: inputs travel with every snapshot of an execution

_INSTANT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_DATE: TypeAdapter[date] = TypeAdapter(date)
_TIME: TypeAdapter[time] = TypeAdapter(time)
_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_YES = frozenset({"true", "1", "on", "yes"})
_NO = frozenset({"false", "0", "off", "no"})


def refuse(expected: str, value: Any) -> NoReturn:
    """Raise ValueError: what was expected, and a piece of what came."""
    shown = str(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "…"
    raise ValueError(f"{expected}, but got `{shown}`")


def as_text(value: Any) -> str:
    """A value as the text a form would have sent: JSON for lists and maps, `true` and `false`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


class DependsOn(Document):
    """Ask for this input only when `condition` is true; it may look at the `inputs` named."""

    inputs: tuple[str, ...] = Field(min_length=1)
    condition: Any = None


class Input(Document):
    """What all inputs have in common.

    Args:
        id: names the value: `inputs.<id>`; dots nest.
        type: of the value.
        description, display_name: for people.
        required: an execution is refused without a value.
        defaults: the value when none is given; may be an expression.
        prefill: what a form shows at first; may be cleared, unlike `defaults`.
        depends_on: other inputs, and a condition on them under which this one is asked for.
    """

    secret: ClassVar[bool] = False

    id: Text = Field(
        pattern=r"^[a-zA-Z0-9][.a-zA-Z0-9_-]*$", max_length=256, validation_alias=AliasChoices("id", "name")
    )
    type: str
    description: str | None = None
    display_name: str | None = Field(default=None, max_length=64)
    required: bool = True
    defaults: Any = None
    prefill: Any = None
    depends_on: DependsOn | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Input:
        if self.defaults is not None and self.prefill is not None:
            raise ValueError("`prefill` and `defaults` exclude each other; keep one of them")
        return self

    def convert(self, value: Any) -> Any:
        """The typed value of what a caller gave. Raises ValueError saying what was expected."""
        return value


class _Validated(Input):
    validator: str | None = None

    @field_validator("validator")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"`{pattern}` is no regular expression: {error}") from None
        return pattern

    def convert(self, value: Any) -> str:
        text = as_text(value)
        if self.validator is not None and not re.fullmatch(self.validator, text):
            if self.secret:
                raise ValueError(f"it must match the pattern `{self.validator}`")
            refuse(f"it must match the pattern `{self.validator}`", text)
        return text


class StringInput(_Validated):
    """Any text, or text that a regular expression matches whole."""


class SecretInput(_Validated):
    """Text that is masked wherever it would leave the process."""

    secret: ClassVar[bool] = True


class EmailInput(Input):
    """An e-mail address."""

    def convert(self, value: Any) -> str:
        """The address as it was given."""
        text = as_text(value)
        if not _EMAIL.fullmatch(text):
            refuse("an e-mail address is expected", text)
        return text


class UriInput(Input):
    """A URI with its scheme."""

    def convert(self, value: Any) -> str:
        """The URI as it was given."""
        text = as_text(value)
        try:
            scheme = urlsplit(text).scheme
        except ValueError:
            scheme = ""
        if not scheme or re.search(r"\s", text):
            refuse("a URI with a scheme is expected", text)
        return text


class _Number(Input):
    def _within(self, number: float, least: float | None, most: float | None) -> None:
        if least is not None and number < least:
            refuse(f"it must be at least `{least}`", number)
        if most is not None and number > most:
            refuse(f"it must be at most `{most}`", number)


class IntInput(_Number):
    """A whole number."""

    min: int | None = None
    max: int | None = None

    def convert(self, value: Any) -> int:
        """The number; digits in text are read."""
        text = as_text(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,30}", text):
            refuse("a whole number is expected", value)
        self._within(int(text), self.min, self.max)
        return int(text)


class FloatInput(_Number):
    """A number."""

    min: float | None = None
    max: float | None = None

    def convert(self, value: Any) -> float:
        """The number; a decimal number in text is read."""
        text = as_text(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text):
            refuse("a number is expected", value)
        self._within(float(text), self.min, self.max)
        return float(text)


class BoolInput(Input):
    """Yes or no."""

    def convert(self, value: Any) -> bool:
        """The truth of true/false, 1/0, on/off, yes/no in any case."""
        text = as_text(value).strip().lower()
        if text in _YES:
            return True
        if text in _NO:
            return False
        refuse("true or false is expected", value)


class _Moment(Input):
    _adapter: ClassVar[TypeAdapter[Any]]
    _expected: ClassVar[str]
    _low: ClassVar[str] = "after"
    _high: ClassVar[str] = "before"

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str):
            refuse(self._expected, value)
        try:
            return self._adapter.validate_strings(value.strip())
        except ValidationError:
            refuse(self._expected, value)

    def convert(self, value: Any) -> str:
        moment = self._read(value.isoformat() if isinstance(value, date | time) else value)
        for name in (self._low, self._high):
            bound = getattr(self, name)
            if bound is None:
                continue
            limit = self._read(bound)
            if moment < limit if name == self._low else moment > limit:
                word = {"min": "at least", "max": "at most"}.get(name, name)
                refuse(f"it must be {word} `{bound}`", value)
        return self._write(moment, str(value).strip())

    def _write(self, moment: Any, given: str) -> str:
        return given


class _Ranged(_Moment):
    after: str | None = None
    before: str | None = None


class DatetimeInput(_Ranged):
    """An instant with its zone, given back in UTC: `2042-04-02T04:20:42Z`."""

    _adapter = _INSTANT
    _expected = "a date and time with a zone such as `2042-04-02T04:20:42Z` is expected"

    def _read(self, value: Any) -> Any:
        if isinstance(value, str) and "T" not in value.upper():
            refuse(self._expected, value)
        return super()._read(value)

    def _write(self, moment: Any, given: str) -> str:
        offset = moment.utcoffset()
        text: str = (moment.replace(tzinfo=None) - offset).isoformat()
        return text + "Z"


class DateInput(_Ranged):
    """A day: `2042-04-02`."""

    _adapter = _DATE
    _expected = "a date such as `2042-04-02` is expected"

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value.strip()):
            refuse(self._expected, value)
        return super()._read(value)


class TimeInput(_Ranged):
    """A time of day: `04:20` or `04:20:42`."""

    _adapter = _TIME
    _expected = "a time such as `04:20:42` is expected"

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?", value.strip()):
            refuse(self._expected, value)
        return super()._read(value)


class DurationInput(_Moment):
    """A span of time: `PT5M`."""

    _adapter = _DURATION
    _expected = "a duration such as `PT5M` is expected"
    _low = "min"
    _high = "max"

    min: str | None = None
    max: str | None = None

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.match(r"[+-]?P", value.strip(), re.IGNORECASE):
            refuse(self._expected, value)
        return super()._read(value)


class FileInput(Input):
    """A file the caller has stored; the value is its URI."""

    extension: str | None = Field(default=None, pattern=r"^\..+")
    allowed_file_extensions: tuple[Annotated[str, Field(pattern=r"^\..+")], ...] = ()
    accept: tuple[str, ...] = ()

    def convert(self, value: Any) -> str:
        """The URI as it was given."""
        text = as_text(value)
        allowed = self.allowed_file_extensions
        if allowed and not text.lower().endswith(tuple(ending.lower() for ending in allowed)):
            refuse(f"a file that ends in {', '.join(allowed)} is expected", text.rsplit("/", 1)[-1])
        return text


class JsonInput(Input):
    """Any JSON."""

    json_schema: Any = None

    def convert(self, value: Any) -> Any:
        """The value; text is parsed."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            refuse("JSON is expected", value)


class YamlInput(Input):
    """Any YAML."""

    def convert(self, value: Any) -> Any:
        """The value; text is parsed by the YAML 1.2 core schema, without tags or aliases."""
        if not isinstance(value, str):
            return value
        if re.search(r"(?m)(^|[\s\[,{])[&*!]\w", value):
            refuse("YAML without anchors and tags is expected", value)
        from yaml12 import parse_yaml

        try:
            return json.loads(json.dumps(parse_yaml(value), allow_nan=False))
        except (ValueError, TypeError, RecursionError):
            refuse("YAML is expected", value)
