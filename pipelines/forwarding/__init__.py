"""What a recorder knows, sent to a database or lake that a whole company shares."""
