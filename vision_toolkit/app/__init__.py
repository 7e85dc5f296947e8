"""The roof, where everything is put together: the command line (later the server and the clients)."""
