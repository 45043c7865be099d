"""The build of a whole bundle: which engines fit already, which are made, gated and stored."""
