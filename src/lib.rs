//! The `MobileNet` class.
