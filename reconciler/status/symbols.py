"""How people read states, lengths and instants: one symbol a state, numbers with units, UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.model.state import State

SYMBOLS: dict[State, str] = {
    State.CREATED: "◌",
    State.QUEUED: "◌",
    State.RUNNING: "●",
    State.PAUSED: "‖",
    State.RESTARTED: "↻",
    State.RETRYING: "↻",
    State.KILLING: "⊘",
    State.SUCCESS: "✓",
    State.WARNING: "⚠",
    State.FAILED: "✗",
    State.KILLED: "⊘",
    State.CANCELLED: "⊘",
    State.RETRIED: "↻",
    State.SKIPPED: "○",
}


def length(seconds: float) -> str:
    """A length of time: `40 ms`, `0.4 s`, `12.4 s`, `3 min 12 s`, `1 h 5 min`, `2 d 3 h`."""
    if seconds < 0.0995:
        return f"{round(max(seconds, 0) * 1000)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left} h"
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def minute(at: datetime) -> str:
    """An instant in UTC to the minute: `2026-11-23 14:02`; with seconds where it has any, as a quick schedule needs."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")
