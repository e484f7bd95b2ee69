"""What a recogniser is built of."""
