"""Where positions and leases are kept: in memory, in a SQLite file, in a DynamoDB table."""
