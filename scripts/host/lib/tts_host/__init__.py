"""What the host commands do that is more than a line of Bash: standard library only, Python 3.10 or newer."""
