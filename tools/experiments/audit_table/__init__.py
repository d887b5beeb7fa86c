"""The table of the audit's bars: pools of judged pixels, ontologies drawn over them, planted errors, scores."""
