"""HTTP, with nothing of the ledger: protocol, middleware, requests, problems, log, metrics."""
