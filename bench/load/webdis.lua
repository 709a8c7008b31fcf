-- One value a request, as a command of Redis's to webdis.
require("summary")
wrk.method = "POST"
wrk.body = "INCRBYFLOAT/total/12.5"
