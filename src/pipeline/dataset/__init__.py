"""What is known of a set of photos between the stages."""
