"""What every step program shares: progress lines, exit codes, error codes, where weights lie."""
