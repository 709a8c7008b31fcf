-- One value a request.
require("summary")
wrk.method = "POST"
wrk.body = '{"value": 12.5}'
wrk.headers["Content-Type"] = "application/json"
