//! The `MobileNet` class: convert, call, convert back.
