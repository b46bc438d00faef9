"""Floor 3: evaluators. Each is a backend that answers ``Evaluate`` with a score in [0, 1] and the parts it was made of."""
