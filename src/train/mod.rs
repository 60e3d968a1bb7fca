//! Labelled pictures become weights.
