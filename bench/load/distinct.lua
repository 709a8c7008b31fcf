-- Gives each request a header with a value that no other ever had. The script's argument names the
-- run; each thread numbers itself and its requests. Making a request anew each time costs wrk, so
-- what is compared with such a load must be loaded so, too.
local threads = 0
function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

return function(header)
    local prefix
    local sent = 0
    function init(arguments)
        prefix = arguments[1] .. "-" .. number .. "-"
    end

    function request()
        sent = sent + 1
        wrk.headers[header] = prefix .. sent
        return wrk.format()
    end
end
