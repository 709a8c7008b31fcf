"""The one-machine stack: a private PostgreSQL server and all services in one command."""
