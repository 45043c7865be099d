"""The published model at its real size, in torch: each stage by itself, as diffusers runs it and as our modules do."""
