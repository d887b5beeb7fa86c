"""The audit of a map: the sample it looks at, the statistics, what their scores are worth, and the findings."""
