"""Tables: from a stranger's file to `Observations` and `Outcomes`, and what a loss of a run under way depends on."""
