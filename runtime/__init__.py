"""videoscene-rt: the deployment runtime for VideoScene."""
