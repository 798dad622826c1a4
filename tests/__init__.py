"""The tests of millstream; `fundamentals/` is the place to start reading."""
