"""From Git to desired state to live flows, and back: reports, pull requests, the status branch."""
