"""What `millstream demo` runs: a text analysis of thousands of small tasks. `analysis` is the flow; read it first."""
