"""One org over HTTP: sign-in, requests, responses. Knows nothing of tables."""
