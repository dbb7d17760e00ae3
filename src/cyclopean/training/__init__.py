"""Training: one loop for every method, on Lightning Fabric."""
