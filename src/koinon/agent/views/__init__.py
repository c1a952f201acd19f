"""What the agent shows of itself: pure functions of the core's records."""
