"""What GPUs there are, what they do now, and which of them fits a request."""
