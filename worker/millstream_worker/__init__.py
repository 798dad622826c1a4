"""What does the work: the daemon that claims runs, and the child processes that execute them."""
