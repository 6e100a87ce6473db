"""What the main screen does, by subject; the screen holds these objects and routes to them."""
