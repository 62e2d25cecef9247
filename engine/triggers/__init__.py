"""The trigger types that come with Headwater, and their conditions (dialect, section 3)."""
