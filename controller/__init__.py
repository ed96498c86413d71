"""What is decided: requests become Jobs, Jobs become states."""
