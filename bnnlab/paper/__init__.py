"""What was published, what a run is compared with, claims and their statistics."""
