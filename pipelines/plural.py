"""Numbers with their nouns."""


def counted(number: int, one: str, more: str = "") -> str:
    """'1 job', '2,000 jobs'; `more` is the plural, if it does not end with a mere s."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"
