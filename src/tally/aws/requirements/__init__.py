"""The requirements: a module a concern."""
