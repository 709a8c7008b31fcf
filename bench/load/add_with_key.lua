-- One value a request, each with an Idempotency-Key that was never used before.
require("add")
require("distinct")("Idempotency-Key")
