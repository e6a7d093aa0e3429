"""When: expressions, wall clocks, zones, triggers."""
