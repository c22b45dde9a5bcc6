"""The agent of a TLS listener's host: asks the service what to present, and keeps it in files.

`offer` is what the service answers, `files` what is on disk, `command` what makes the listener read
it, `agent` brings the one in line with the other, `following` does so whenever something changes.
"""
