//! RGBA of any size becomes the normalised input of a network, in one pass.
