-- A thousand values a request, of different sizes.
require("summary")
local values = {}
for number = 1, 1000 do
    values[number] = string.format("%d.%02d", number * 7 % 1000, number % 100)
end
wrk.method = "POST"
wrk.body = '{"values": [' .. table.concat(values, ",") .. ']}'
wrk.headers["Content-Type"] = "application/json"
