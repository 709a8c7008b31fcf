-- One value a request, each with a header that is as long as add_with_key's and means nothing.
require("add")
require("distinct")("Unimportant-Key")
