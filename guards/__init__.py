"""What stands between a decision and its execution: demands that are made of the world before the engine goes on."""
