"""What `vsrt bench` does with one pipeline, one file a kind of figure."""
