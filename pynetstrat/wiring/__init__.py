"""Containers set up by named strategies, all or nothing, and torn down again."""
