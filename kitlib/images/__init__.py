"""Images: what a container's files are and where they come from."""
