"""What a config costs in parameters, operations and memory, without weights and without running it."""
