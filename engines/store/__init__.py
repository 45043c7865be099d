"""Who an engine is, where it is kept, and how it is verified and found."""
