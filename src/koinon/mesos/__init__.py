"""The language everybody speaks: v1 messages, resources, and their encodings. Knows nobody."""
