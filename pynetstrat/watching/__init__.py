"""Links and addresses as they appear, change and disappear."""
