-- One value a request, each with an Idempotency-Key that was never used before. The argument names
-- the run; each thread numbers itself and its requests.
require("summary")
wrk.method = "POST"
wrk.body = '{"value": 12.5}'
wrk.headers["Content-Type"] = "application/json"

local threads = 0
function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

local prefix
local sent = 0
function init(arguments)
    prefix = arguments[1] .. "-" .. number .. "-"
end

function request()
    sent = sent + 1
    wrk.headers["Idempotency-Key"] = prefix .. sent
    return wrk.format()
end
