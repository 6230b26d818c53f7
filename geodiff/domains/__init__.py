"""What things are, before any noise: read, write, describe, measure and draw them."""
