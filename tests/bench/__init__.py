"""Programs that measure, replay, kill and fuzz; run by hand and by some tests."""
