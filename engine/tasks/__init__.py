"""The task types that come with Headwater (dialect, section 2), one small file for each kind."""
