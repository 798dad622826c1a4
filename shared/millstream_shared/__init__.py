"""What the processes that ask for work and those that do it agree on: states, records, keys, and the store."""
