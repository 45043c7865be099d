"""The engine room: the bundle, its graphs, and the backends that run them."""
