-- The same page or figure, again and again; the address says which.
require("summary")
