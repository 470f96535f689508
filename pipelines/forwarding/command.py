"""`forward`, as it is asked for on the command line."""

from pipelines.config.settings import read_settings
from pipelines.errors import ConfigError
from pipelines.forwarding.forward import differences, forward
from pipelines.forwarding.sending import Mode
from pipelines.forwarding.settings import read_forward_settings


def forward_as_asked(*, init: bool, full: bool, dry_run: bool, take_over: bool) -> list[str]:
    """Forwards; returns the lines to print. Raises a RecorderError."""
    settings, forwarding = read_settings(), read_forward_settings()
    if forwarding is None:
        raise ConfigError(
            "There is nowhere to forward to: `destination` under [forward] is not set.",
            "Set it in .dlt/config.toml, for example to postgres (docs/company-warehouse.md).",
        )
    if dry_run:
        changes = {
            name: change
            for name, change in differences(settings, forwarding, full=full).items()
            if change.changed or change.removed
        }
        widest = max(map(len, changes), default=0)
        return [
            *(
                f"{name:{widest}}  {change.changed:>12,} row{'s' if change.changed != 1 else ''}"
                + (f", {change.removed:,} removed" if change.removed else "")
                for name, change in changes.items()
            ),
            f"{'These' if changes else 'No'} rows would be sent to {forwarding.destination}, dataset "
            f"{forwarding.dataset}. Nothing was sent, and the destination was not contacted.",
        ]
    return [str(forward(settings, forwarding, Mode(init, full, take_over)))]
