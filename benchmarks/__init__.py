"""Benchmarks: every figure as a ratio against a floor of the same run, or against its bound. See README.md."""
