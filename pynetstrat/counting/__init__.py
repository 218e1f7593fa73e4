"""The counters of every container of a host."""
