"""rtnetlink from Python: links, addresses and routes, batches of changes, the socket."""
