"""Small tools that user code imports by name."""
