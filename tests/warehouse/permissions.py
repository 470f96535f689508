"""What the user running the tests may write."""

import ctypes

PR_CAPBSET_DROP = 24
CAPABILITIES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH let root ignore permission bits


def bound_by_permissions() -> None:
    """Runs in a child before it becomes the load: makes root subject to permission bits, like other users."""
    libc = ctypes.CDLL(None)
    for capability in CAPABILITIES:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
