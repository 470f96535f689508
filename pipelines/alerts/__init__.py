"""What leaves this machine so that someone acts: notifications, the ping of a load, metrics.

settings.py   `[alerts]`: channels, the ping's URL, reminders
events.py     what is to be sent: a finding that begins, becomes urgent, goes on, or is over;  messages.py: in words
alert_state.py  what each channel has got, and is still to get, in a file beside the primary database
channels.py   sends, through Apprise;  notify.py: one run of `check --notify`
ping.py       a dead man's switch: pings at the start and the end of a load
metrics.py    a text file for Prometheus' node_exporter;  grafana.json: a dashboard of these
"""
