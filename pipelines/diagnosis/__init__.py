"""What is wrong with the set-up, and unknown settings."""
