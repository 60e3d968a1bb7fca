//! Bytes of a model file become [`Weights`](crate::Weights), and back: one file a format, one file that knows the frameworks' names.
