"""A rig that breaks every part of a running Tally under load, and the judge of what happened."""
