"""The web page of a results folder: static files that need neither a server nor a network."""
