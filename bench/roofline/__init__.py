"""How fast a step could be: operations and bytes counted from the graphs, over rates of this device, measured, and of others, published."""
