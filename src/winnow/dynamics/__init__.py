"""Floor 1: dynamics. What selection must do by the mathematics alone; no model is called and nothing is measured here."""
