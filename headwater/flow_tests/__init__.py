"""Flow tests as code: suites of cases beside the flows, played on an engine of their own, judged and reported."""
