//! Weights become a network that runs without allocating.
