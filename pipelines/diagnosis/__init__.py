"""What is wrong: with the set-up, with settings, with a run that failed."""
