"""HTTP without a word of the ledger: protocol, middleware, requests, problems, log, metrics."""
