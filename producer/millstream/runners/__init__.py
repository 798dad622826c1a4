"""Task runners: what decides where and when submitted task runs are executed."""
