"""Procedural rooms, streets and clutter with exact geometry, ray-cast in torch; a scene is a function of one integer."""
