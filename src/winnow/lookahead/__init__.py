"""Floor 5: does a model predict real text better when it looks ahead? Measured, not assumed."""
