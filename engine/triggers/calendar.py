"""Due times on the clock of a zone: cron expressions, and lists of dates. Pure.

On the night the clock jumps ahead, a time that does not exist is due right after the gap; on the night it falls
back, a time that exists twice is due the first time only, unless the cron asks for every hour or minute, which
goes on by real time (the behaviour of Debian's cron, as the library cronsim has it).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def zone(name: str | None) -> tzinfo:
    """The zone of that name, UTC when none is given. Raises ValueError."""
    if name is None or name in ("UTC", "Z", "Etc/UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown, or not the name of a file in the zone database
        raise ValueError(f"`{name}` is no time zone; give a name such as `Europe/Paris`") from None


@lru_cache(maxsize=4096)
def expression(cron: str, with_seconds: bool) -> str:
    """The expression without aliases, checked. Raises ValueError saying what is wrong."""
    fields = ALIASES.get(cron.strip().lower(), cron)
    wanted = 6 if with_seconds and not cron.strip().startswith("@") else 5
    count = len(fields.split())
    if count != wanted:
        hint = "; set `withSeconds: true` for six" if count == 6 else ""
        raise ValueError(f"`{cron}` is no cron expression: {count} fields where {wanted} are needed{hint}")
    try:
        CronSim(fields, _SOME_DAY)
    except (CronSimError, ValueError, AssertionError) as error:
        reason = str(error) or "not understood"
        raise ValueError(f"`{cron}` is no cron expression: {reason[:1].lower()}{reason[1:]}") from None
    return fields


def following(cron: str, zone_: tzinfo, after: datetime) -> datetime | None:
    """The first due time strictly after an instant; none when there is none within 50 years."""
    return _following(
        cron, zone_, after.astimezone(UTC)
    )  # in other zones unlike instants may be equal (PEP 495)


@lru_cache(maxsize=4096)  # of thousands of flows that go live at one moment, many share their cron
def _following(cron: str, zone_: tzinfo, after: datetime) -> datetime | None:
    for due in CronSim(cron, after.astimezone(zone_)):
        if due.astimezone(UTC) > after:  # in a repeated hour the library may look back
            return fixed(due)
    return None


def preceding(cron: str, zone_: tzinfo, before: datetime) -> datetime | None:
    """The last due time strictly before an instant; none when there is none within 50 years."""
    start = before.astimezone(zone_)
    if start.fold:  # the second time: what was due the first time may show a later clock
        repeated = start.replace(fold=0).utcoffset() or timedelta(0)
        start = (before + (repeated - (start.utcoffset() or timedelta(0)))).astimezone(zone_)
    for due in CronSim(cron, start, reverse=True):
        if due.astimezone(UTC) < before.astimezone(UTC):
            return fixed(due)
    return None


def fixed(moment: datetime) -> datetime:
    """The same instant and clock, with its offset instead of its zone.

    Instants of a repeated hour are equal to nothing in another zone as long as they carry theirs (PEP 495).
    """
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=timezone(moment.utcoffset() or timedelta(0)), fold=0)
