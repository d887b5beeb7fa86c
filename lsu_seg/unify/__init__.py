"""The whole method from one config, stage by stage, and its report."""
