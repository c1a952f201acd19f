"""The core of Marathon: pure, synchronous, deterministic. `Marathon.handle(event, now) -> effects`."""
