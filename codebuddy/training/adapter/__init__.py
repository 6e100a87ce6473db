"""Training of the default adapter: samples, training, export, figures."""
