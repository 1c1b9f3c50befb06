"""Stand-ins for the provider plugins `digitalocean`, `aws` and `command`.

They speak the same APIs as the real plugins and follow the same rules (check, diff, replacement, preview), but only
ever towards this machine: an endpoint that is not loopback is refused.
"""
