"""From the bytes of a flow file to a validated flow, or to all of its problems at once. Knows no Git and no store."""
