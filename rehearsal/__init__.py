"""The rehearsal: the network of an AWS deployment, stood up on this machine and tried."""
