"""What is deployed: adder, display and reset, and what they share."""
