"""What `make check` looks for: a file for each concern, each a few functions from a question to findings.

They are asked in the order of `check.EXAMINATIONS`: what one of them has reported, a later one does not report again in
other words.
"""
