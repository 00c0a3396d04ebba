"""What is, against what should be: status."""
