"""Training a small student, its autoencoder and its policy, from scenes made by arithmetic or from the user's own."""
