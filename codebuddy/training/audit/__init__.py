"""What a trained file remembers of the code that it was trained on."""
