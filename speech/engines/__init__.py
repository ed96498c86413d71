"""What turns clauses into sound, behind one port (`port.py`)."""
