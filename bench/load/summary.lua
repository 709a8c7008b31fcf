-- What every load says at its end: one line of JSON, for a program to read.
-- Durations and latencies are in microseconds, as wrk counts them.
local line = '{"requests":%d,"duration_us":%d,'
    .. '"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d,'
    .. '"errors":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}\n'

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(line:format(
        summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
        errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
