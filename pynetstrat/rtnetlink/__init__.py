"""rtnetlink for Python: links, addresses and routes, batches of changes, and the socket."""
