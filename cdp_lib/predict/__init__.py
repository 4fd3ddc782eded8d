"""What customers will do: outcomes, propensities, and how good they are."""
