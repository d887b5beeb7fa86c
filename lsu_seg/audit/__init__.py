"""The audit of a map: the sample it looks at, the statistics, the rehearsal that calibrates them, and the findings."""
