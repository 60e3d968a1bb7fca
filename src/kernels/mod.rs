//! Arithmetic on slices: kernels know shapes, not MobileNet.
