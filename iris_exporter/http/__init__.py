"""What every HTTP request of ours uses."""
