"""AWS: clients, signed calls, and what their faults mean."""
