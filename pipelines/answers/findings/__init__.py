"""What `make check` looks for: a file per concern, each with a few functions from a context to findings.

They run in the order of `check.CHECKS`: what one of them has reported, a later one does not report again in other
words.
"""
