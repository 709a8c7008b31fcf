"""The total: its schema and migrations, group commit, reads, resets and the audit."""
