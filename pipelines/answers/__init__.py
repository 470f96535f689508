"""What people ask: findings, pictures, the report. SQL in, words out."""
