"""The state machine: `step(graph, execution, event) -> Transition`. Pure: no clock, no I/O, no randomness."""
