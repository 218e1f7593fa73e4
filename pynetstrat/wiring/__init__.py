"""Containers wired by named strategies: set up all or nothing, torn down, and checked."""
