"""A month of the built-in org on a simulated clock."""
