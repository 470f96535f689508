"""What the user of the tests may write."""

import ctypes

PR_CAPBSET_DROP = 24
CAPABILITIES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what makes root pass by permission bits


def bound_by_permissions() -> None:
    """In a child, before it becomes the load: root goes by the permission bits of its own files, as others do."""
    libc = ctypes.CDLL(None)
    for capability in CAPABILITIES:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
