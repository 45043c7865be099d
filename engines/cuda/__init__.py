"""A CUDA device through cuda.core and the driver: memory, streams, events, graphs, arrays. Imported only where one is used."""
